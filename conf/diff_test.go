package conf

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

const diffBase = `
[frontend.a]
listen = [":1", ":2"]
mode = "tcp"
backend = "x"

[frontend.b]
listen = "127.0.0.1:3"
mode = "tcp"
backend = "y"

[backend.x.check]
interval = "3s"

[[backend.x.server]]
name = "one"
tcp = "192.0.2.1:1"

[[backend.x.server]]
name = "two"
tcp = "192.0.2.1:2"

[[backend.y.server]]
name = "one"
tcp = "192.0.2.2:1"
`

// edit replaces the first string of each pair, which must occur exactly once, by
// the second.
func edit(t *testing.T, text string, pairs ...string) string {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if strings.Count(text, pairs[i]) != 1 {
			t.Fatalf("%q does not occur exactly once", pairs[i])
		}
		text = strings.Replace(text, pairs[i], pairs[i+1], 1)
	}
	return text
}

func TestDiff(t *testing.T) {
	t.Parallel()
	before := mustParse(t, diffBase)
	for _, c := range []struct {
		name      string
		after     string
		want      string
		listeners []ListenerChange
	}{
		{"nothing", diffBase, "nothing changed", nil},
		{"the same in other words", edit(t, diffBase, `"127.0.0.1:3"`, `["127.0.0.1:3"]`, `"3s"`, `"3000ms"`), "nothing changed", nil},
		{"another order",
			edit(t, diffBase, `[":1", ":2"]`, `[":1", ":2"] #`, `"one"
tcp = "192.0.2.1:1"`, `"two"
tcp = "192.0.2.1:2"`, `name = "two"
tcp = "192.0.2.1:2"

[[backend.y`, `name = "one"
tcp = "192.0.2.1:1"

[[backend.y`), "nothing changed", nil},
		{"a server more", diffBase + "[[backend.x.server]]\nname = \"five\"\ntcp = \"192.0.2.1:5\"\n[ratelimit]\nmessage_rate = 50",
			"~ratelimit.message_rate 100 -> 50, +server x/five", nil},
		{"a server less", edit(t, diffBase, "[[backend.x.server]]\nname = \"two\"\ntcp = \"192.0.2.1:2\"\n", ""), "-server x/two", nil},
		{"a server's address", edit(t, diffBase, "192.0.2.1:2", "192.0.2.1:3"), "~server x/two tcp \"192.0.2.1:2\" -> \"192.0.2.1:3\"", nil},
		{"a server's weight", edit(t, diffBase, "192.0.2.1:2\"", "192.0.2.1:2\"\nweight = 50\nmaxconn = 5"), "~server x/two maxconn 25000 -> 5 weight 100 -> 50", nil},
		{"a check", edit(t, diffBase, `"3s"`, `"5s"`), "~backend.x.check.interval 3s -> 5s", nil},
		{"a backend more", diffBase + "[[backend.z.server]]\nname = \"one\"\ntcp = \"192.0.2.3:1\"", "+backend z", nil},
		{"a backend less", edit(t, diffBase, `"y"`, `"x"`, "[[backend.y.server]]\nname = \"one\"\ntcp = \"192.0.2.2:1\"\n", ""),
			`~frontend.b.backend "y" -> "x", -backend y`, nil},
		{"a frontend more", diffBase + "[frontend.c]\nlisten = [\":4\", \":5\"]\nmode = \"tcp\"\nbackend = \"x\"", "+frontend c",
			[]ListenerChange{{":4", "", "c", false}, {":5", "", "c", false}}},
		{"a frontend less", edit(t, diffBase, "[frontend.b]\nlisten = \"127.0.0.1:3\"\nmode = \"tcp\"\nbackend = \"y\"\n", ""), "-frontend b",
			[]ListenerChange{{"127.0.0.1:3", "b", "", false}}},
		{"a frontend's name", edit(t, diffBase, "frontend.b", "frontend.c"), "-frontend b, +frontend c",
			[]ListenerChange{{"127.0.0.1:3", "b", "c", false}}},
		{"an address more and one less", edit(t, diffBase, `":2"`, `":4"`), `~frontend.a.listen [":1", ":2"] -> [":1", ":4"]`,
			[]ListenerChange{{":4", "", "a", false}, {":2", "a", "", false}}},
		{"addresses swapped", edit(t, diffBase, `":2"`, `"127.0.0.1:3"`, `= "127.0.0.1:3"`, `= ":2"`),
			`~frontend.a.listen [":1", ":2"] -> [":1", "127.0.0.1:3"], ~frontend.b.listen ["127.0.0.1:3"] -> [":2"]`,
			[]ListenerChange{{":2", "a", "b", false}, {"127.0.0.1:3", "b", "a", false}}},
		{"other sections", diffBase + "[global]\nthreads = 4\nlog_format = \"json\"\nlog_level = \"debug\"\n[admin]\nlisten = \":9\"\nhealth_listen = \"\"",
			`~global.threads 0 -> 4, ~global.log_level "info" -> "debug", ~global.log_format "text" -> "json", ` +
				`~admin.listen "127.0.0.1:8404" -> ":9", ~admin.health_listen "127.0.0.1:8888" -> ""`, nil},
	} {
		after := mustParse(t, c.after)
		plan := Diff(before, after)
		if got := plan.String(); got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.name, got, c.want)
		}
		if !reflect.DeepEqual(plan.Listeners, c.listeners) {
			t.Errorf("%s: listeners %v, want %v", c.name, plan.Listeners, c.listeners)
		}
		if plan.Empty() != (c.want == "nothing changed") {
			t.Errorf("%s: Empty is %t", c.name, plan.Empty())
		}
		checkPlan(t, before, after, plan)
	}
}

// checkPlan checks that the plan refers to the right values, and that its
// listeners lead from one Config's addresses to the other's.
func checkPlan(t *testing.T, before, after *Config, plan Plan) {
	t.Helper()
	for _, f := range plan.Frontends {
		if f.Old != before.Frontend(f.Name) || f.New != after.Frontend(f.Name) || !consistent(f.Action, f.Old != nil, f.New != nil) {
			t.Errorf("frontend %+v", f)
		}
	}
	for _, b := range plan.Backends {
		if b.Old != before.Backend(b.Name) || b.New != after.Backend(b.Name) || !consistent(b.Action, b.Old != nil, b.New != nil) {
			t.Errorf("backend %+v", b)
		}
		for _, s := range b.Servers {
			if !consistent(s.Action, s.Old != nil, s.New != nil) {
				t.Errorf("server %+v", s)
			}
		}
	}
	bindings := bound(before)
	for _, l := range plan.Listeners {
		if l.From != "" {
			i := slices.Index(bindings, binding{l.Address, l.From, l.IPv6Only})
			if i < 0 {
				t.Fatalf("%+v starts from a listener that does not exist", l)
			}
			bindings = slices.Delete(bindings, i, i+1)
		}
		if l.To != "" {
			bindings = append(bindings, binding{l.Address, l.To, l.IPv6Only})
		}
	}
	want := bound(after)
	sortBindings(bindings)
	sortBindings(want)
	if !slices.Equal(bindings, want) {
		t.Errorf("listeners lead to %v, want %v", bindings, want)
	}
}

func sortBindings(b []binding) {
	slices.SortFunc(b, func(a, b binding) int { return strings.Compare(a.frontend+" "+a.address, b.frontend+" "+b.address) })
}

func consistent(action Action, old, new bool) bool {
	return map[Action][2]bool{Added: {false, true}, Removed: {true, false}, Changed: {true, true}}[action] == [2]bool{old, new}
}

func TestDiffCheckChanged(t *testing.T) {
	t.Parallel()
	before := mustParse(t, diffBase)
	plan := Diff(before, mustParse(t, edit(t, diffBase, `"3s"`, `"5s"`)))
	if !plan.Backends[0].CheckChanged {
		t.Error("CheckChanged is false for a changed check")
	}
	plan = Diff(before, mustParse(t, diffBase+"[backend.x]\nretries = 1"))
	if plan.Backends[0].CheckChanged {
		t.Error("CheckChanged is true for an unchanged check")
	}
}

// TestDiffKernelPorts checks that equal listeners on port 0 are counted
// individually.
func TestDiffKernelPorts(t *testing.T) {
	t.Parallel()
	text := func(a, b string) string {
		return fmt.Sprintf("[frontend.a]\nlisten = %s\nmode = \"tcp\"\nbackend = \"x\"\n[frontend.b]\nlisten = %s\nmode = \"tcp\"\nbackend = \"x\"\n"+
			"[[backend.x.server]]\nname = \"one\"\ntcp = \"192.0.2.1:1\"\n[admin]\nlisten = \"\"\nhealth_listen = \"\"", a, b)
	}
	before := mustParse(t, text(`":0"`, `":0"`))
	plan := Diff(before, mustParse(t, text(`":0"`, `["127.0.0.1:0", ":0"]`)))
	if want := []ListenerChange{{"127.0.0.1:0", "", "b", false}}; !slices.Equal(plan.Listeners, want) {
		t.Errorf("listeners %v, want %v", plan.Listeners, want)
	}
	plan = Diff(before, mustParse(t, text(`":0"`, `":5"`)))
	if want := []ListenerChange{{":5", "", "b", false}, {":0", "b", "", false}}; !slices.Equal(plan.Listeners, want) {
		t.Errorf("listeners %v, want %v", plan.Listeners, want)
	}
}

// TestDiffAll compares every pair of some valid files.
func TestDiffAll(t *testing.T) {
	t.Parallel()
	var all []*Config
	for _, text := range []string{diffBase, minimal, contract(t), strings.NewReplacer("frontend.a", "frontend.b", "frontend.b", "frontend.a").Replace(diffBase), large(3, 7), large(7, 3)} {
		all = append(all, mustParse(t, text))
	}
	for i, before := range all {
		for j, after := range all {
			plan := Diff(before, after)
			checkPlan(t, before, after, plan)
			if plan.Empty() != (i == j) || strings.Contains(plan.String(), "\n") {
				t.Errorf("from %d to %d: %v", i, j, plan)
			}
		}
	}
	if plan := (Plan{}); !plan.Empty() || plan.String() != "nothing changed" {
		t.Errorf("the zero plan is %v", plan)
	}
}

func TestFixed(t *testing.T) {
	t.Parallel()
	started := mustParse(t, diffBase).Global
	for _, c := range []struct {
		global string
		want   []string
	}{
		{"", nil},
		{"maxconn = 7\nhard_stop_after = 0\nlog_level = 'debug'\nlog_format = 'json'", nil},
		{"threads = 4\nmaxconn = 7", []string{"global.threads"}},
	} {
		after := mustParse(t, diffBase+"[global]\n"+c.global).Global
		if got := Fixed(&started, &after); !slices.Equal(got, c.want) {
			t.Errorf("%q: got %q, want %q", c.global, got, c.want)
		}
	}
}
