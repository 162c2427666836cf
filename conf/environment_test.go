package conf

import (
	"errors"
	"strings"
	"testing"
)

// TestEnvironment checks what stands for variables in strings. If it fails, operators who
// fill in a file from the environment serve with wrong addresses or secrets.
func TestEnvironment(t *testing.T) {
	t.Setenv("MCPLB_TEST_PORT", "8404")
	t.Setenv("MCPLB_TEST_EMPTY", "")
	t.Setenv("MCPLB_TEST_BRACE", "${MCPLB_TEST_PORT}")
	t.Setenv("MCPLB_TEST_QUOTE", `a"b\n`)
	for text, want := range map[string]any{
		"${MCPLB_TEST_PORT}":                   fromVariable("8404"),
		"127.0.0.1:${MCPLB_TEST_PORT}":         "127.0.0.1:8404",
		"${MCPLB_TEST_PORT}${MCPLB_TEST_PORT}": "84048404",
		"${MCPLB_TEST_PORT}x":                  "8404x",
		"${MCPLB_TEST_UNSET:-x}":               "x",
		"${MCPLB_TEST_EMPTY:-x}":               "x",
		"a${MCPLB_TEST_EMPTY}b":                "ab",
		"a${MCPLB_TEST_UNSET:-}b":              "ab",
		"${MCPLB_TEST_UNSET:-10.0.0.1:80}":     "10.0.0.1:80",
		"${MCPLB_TEST_UNSET:-:-}":              ":-",
		"$${MCPLB_TEST_PORT}":                  "${MCPLB_TEST_PORT}",
		"a$${b}$${":                            "a${b}${",
		"${MCPLB_TEST_BRACE}":                  "${MCPLB_TEST_PORT}", // once only
		"${MCPLB_TEST_QUOTE}":                  `a"b\n`,
		"$5":                                   "$5",
		"a$b$$":                                "a$b$$",
		"$(x)":                                 "$(x)",
		"{host}$":                              "{host}$",
		"${MCPLB_TEST_UNSET:-true}":            fromVariable("true"),
		"https://{host}:${MCPLB_TEST_PORT}{uri}$${x}$": "https://{host}:8404{uri}${x}$",
	} {
		got := expand(text, func(_, reason string) { t.Errorf("%s: %s", text, reason) })
		if got != want {
			t.Errorf("%s: %#v, want %#v", text, got, want)
		}
	}
	for text, want := range map[string]string{
		"${MCPLB_TEST_UNSET}":     "the environment has no MCPLB_TEST_UNSET",
		"a${MCPLB_TEST_UNSET}":    "the environment has no MCPLB_TEST_UNSET",
		"${}":                     "is no environment variable",
		"${":                      "is no environment variable",
		"${A":                     "is no environment variable",
		"${1A}":                   "is no environment variable",
		"${A-b}":                  "is no environment variable",
		"${A:?b}":                 "is no environment variable",
		"${A B}":                  "is no environment variable",
		"$${x}${ }":               "is no environment variable",
		"${MCPLB_TEST_PORT} ${é}": "is no environment variable",
	} {
		var found string
		expand(text, func(_, reason string) { found = reason })
		if !strings.Contains(found, want) {
			t.Errorf("%s: %q, want %q", text, found, want)
		}
	}
}

// TestEnvironmentInFile checks every kind of value, and that what is missing is reported
// with the rest.
func TestEnvironmentInFile(t *testing.T) {
	for name, value := range map[string]string{"NUMBER": "5", "WORD": "debug", "TIME": "7s", "YES": "true", "NET": "10.0.0.0/8", "PORT": "18404"} {
		t.Setenv("MCPLB_TEST_"+name, value)
	}
	const text = `[global]
maxconn = "${MCPLB_TEST_NUMBER}"
log_level = "${MCPLB_TEST_WORD}"
hard_stop_after = "${MCPLB_TEST_TIME}"
[admin]
listen = "127.0.0.1:${MCPLB_TEST_PORT}"
hosts = ["lb", "${MCPLB_TEST_NUMBER}.example.com"]
[ratelimit]
exempt = ["${MCPLB_TEST_NET}"]
[frontend.env]
listen = "127.0.0.1:${MCPLB_TEST_PORT}1"
mode = "${MCPLB_TEST_UNSET:-http}"
backend = "b"
preserve = 1
[backend.b]
preserve_host = "${MCPLB_TEST_YES}"
[backend.b.check]
type = "http"
headers = { "X-A" = "${MCPLB_TEST_NUMBER}" }
[[backend.b.server]]
name = "a"
http = "127.0.0.1:1"
`
	_, err := Parse("lb.toml", []byte(text))
	var mistakes Errors
	if !errors.As(err, &mistakes) || len(mistakes) != 2 || mistakes[0].Key != "frontend.env.listen" || mistakes[1].Key != "frontend.env.preserve" {
		t.Errorf("mistakes: %v", err)
	}
	good := strings.NewReplacer("PORT}1", "PORT}", "preserve = 1\n", "").Replace(text)
	c, err := Parse("lb.toml", []byte(strings.Replace(good, "127.0.0.1:${MCPLB_TEST_PORT}\"\nmode", "127.0.0.2:${MCPLB_TEST_PORT}\"\nmode", 1)))
	if err != nil {
		t.Fatal(err)
	}
	if c.Global.MaxConn != 5 || c.Admin.Listen != "127.0.0.1:18404" || c.Admin.Hosts[1] != "5.example.com" || !c.Backends[0].PreserveHost || len(c.RateLimit.Exempt) != 1 {
		t.Errorf("%+v %+v %+v", c.Global, c.Admin, c.RateLimit)
	}
	for text, want := range map[string]string{
		"[global]\nmaxconn = \"${MCPLB_TEST_WORD}\"":          "lb.toml:2: global.maxconn: must be",
		"[global]\nlog_level = \"${MCPLB_TEST_NUMBER}\"":      "lb.toml:2: global.log_level: must be",
		"[global]\nmaxconn = ${MCPLB_TEST_NUMBER}":            `environment variables stand in quotes, as maxconn = "${MCPLB_TEST_NUMBER}"`,
		"[ratelimit]\nexempt = [\"${MCPLB_TEST_UNSET}\"]":     "lb.toml:2: ratelimit.exempt[0]: has ${MCPLB_TEST_UNSET}",
		"[admin]\nhosts = [\"a\", \"${MCPLB_TEST_UNSET}\"]":   "lb.toml:2: admin.hosts[1]: has ${MCPLB_TEST_UNSET}",
		"[admin]\ntoken_file = \"${MCPLB_TEST_UNSET}/a\"":     "lb.toml:2: admin.token_file: has ${MCPLB_TEST_UNSET}",
		"[global]\nhard_stop_after = \"${MCPLB_TEST_UNSET}\"": "lb.toml:2: global.hard_stop_after: has ${MCPLB_TEST_UNSET}",
	} {
		if _, err := Parse("lb.toml", []byte(text+"\n"+minimal)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}
