package lb

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// What a regular expression of few texts becomes has to be the same, since a route for
// more lets clients through, and one for less sends them elsewhere.
func TestFinitePaths(t *testing.T) {
	for expression, want := range map[string]string{
		`^/(a|b)/`:              "/a/... /b/...",
		`^/(a|b)$`:              "/a /b",
		`^/a(/|$)`:              "/a/",
		`^/a(?:/.*)?$`:          "/a/",
		`^/v[12]/x`:             "/v1/x... /v2/x...",
		`^/(api|rest)/(v1|v2)/`: "/api/v1/... /api/v2/... /rest/v1/... /rest/v2/...",
		`^/a\.b/?$`:             "/a.b",
		`^/a.*$`:                "/a...",
		`^/`:                    "/...",
		`(?i)^/Ab$`:             "/AB fold",
		`/a`:                    "refused",
		`\.(png|jpg)$`:          "refused",
		`^/(\w+)/`:              "refused",
		`^/[^/]+$`:              "refused",
		`^/a.*b`:                "refused",
		`^/a/.+`:                "refused",
		`^/(?=a)`:               "refused",
		`^.*/a$`:                "refused",
		`^(/a|b)/`:              "refused",
		`^/[a-z]{2}[a-z]/`:      "refused",
		``:                      "refused",
	} {
		paths, fold, err := FinitePaths(expression)
		var got []string
		for _, p := range paths {
			got = append(got, p.Text+[...]string{"...", "/", ""}[p.Reach])
		}
		if fold {
			got = append(got, "fold")
		}
		if err != nil {
			got = []string{"refused"}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %s, %v, want %s", expression, strings.Join(got, " "), err, want)
		}
	}
}

func TestFiniteHosts(t *testing.T) {
	for expression, want := range map[string]string{
		`^(www|api)\.example\.com$`:       "[www.example.com api.example.com]",
		`^(www\.)?example\.com$`:          "[www.example.com example.com]",
		`^(.*\.)?example\.com$`:           "[*.example.com example.com]",
		`\.example\.com$`:                 "[*.example.com]",
		`^.*\.example\.(com|net)(:\d+)?$`: "[*.example.com *.example.net]",
		`^EXAMPLE\.com$`:                  "[example.com]",
		`example\.com$`:                   "refused",
		`^example\.com`:                   "refused",
		`^[^.]+\.example\.com$`:           "refused",
		`^.+$`:                            "refused",
		`.*`:                              "refused",
	} {
		hosts, err := FiniteHosts(expression)
		got := fmt.Sprint(hosts)
		if err != nil {
			got = "refused"
		}
		if got != want {
			t.Errorf("%s: %s, %v, want %s", expression, got, err, want)
		}
	}
}

// Whatever the expression, its texts are matched by it.
func FuzzFinite(f *testing.F) {
	for _, seed := range []string{`^/(a|b)/`, `^(.*\.)?x\.(com|net)$`, `^/a(/|$)`, `(?i)^[ab]c?.*`, `a^b`, `(|a)$b`, `.*(.*a)?`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, expression string) {
		all, fold, err := Finite(expression)
		if err != nil {
			return
		}
		matcher, err := regexp.Compile(expression)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range all {
			if !fold && !matcher.MatchString(m.Text) {
				t.Errorf("%q does not match %+v", expression, m)
			}
			if before := "zq" + m.Text; !fold && m.Front && !matcher.MatchString(before) {
				t.Errorf("%q does not match %q", expression, before)
			}
			if behind := m.Text + "zq"; !fold && m.Back && !matcher.MatchString(behind) {
				t.Errorf("%q does not match %q", expression, behind)
			}
		}
	})
}
