package admin

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// chosen returns the names of the servers that the page of a query shows, in order.
func chosen(t *testing.T, d *desk, query string) string {
	t.Helper()
	text := body(t, d.ask("GET", "/stats"+query, ""))
	var names []string
	for _, row := range regexp.MustCompile(`<tr id="[a-z]+/([^"]+)"`).FindAllStringSubmatch(text, -1) {
		names = append(names, row[1])
	}
	return strings.Join(names, " ")
}

// Search, order and "only problems" work by the address alone, so without JavaScript: who
// has 200 servers and one problem must find it.
func TestChoice(t *testing.T) {
	t.Parallel()
	d := newDesk(edited(func(s *Snapshot) {
		add := func(name string, edit func(*Server)) {
			one := Server{Name: name, Admin: AdminReady, State: ServerUp, Usable: true, Weight: 1, EffectiveWeight: 1, Addresses: map[string]string{"tcp": "10.0.0.9:1" + name}}
			edit(&one)
			s.Backends[0].Servers = append(s.Backends[0].Servers, one)
		}
		s.Backends[0].Servers = nil
		add("delta", func(s *Server) { s.Connections.Current, s.Connections.Limit = 5, 5 })
		add("alpha", func(s *Server) { s.State, s.Reason, s.DowntimeSeconds = ServerDown, "L4CON refused", 9 })
		add("echo", func(s *Server) { s.Admin, s.AdminReason, s.State = AdminMaint, "new kernel, by ann", ServerDown })
		add("bravo", func(s *Server) { s.Errors = map[string]uint64{"reset": 2}; s.Connections.Current = 7 })
		add("golf", func(s *Server) { s.Admin = AdminDrain; s.Errors = map[string]uint64{"client_abort": 99, "abort": 98} })
		add("hotel", func(s *Server) { s.Check.Progress = "1/2 down"; s.Addresses["http"] = "10.7.7.7:80" })
		add("india", func(s *Server) { s.Check.Progress = "1/2 up"; s.RecentP95Seconds = 0.09 })
	}))
	const all = "delta alpha echo bravo golf hotel india"
	for query, want := range map[string]string{
		"":                                all,
		"?sort=file&q=":                   all,
		"?sort=nonsense&only=x":           all,
		"?sort=name":                      "alpha bravo delta echo golf hotel india",
		"?sort=state":                     "alpha delta hotel golf echo bravo india",
		"?sort=connections":               "bravo delta alpha echo golf hotel india",
		"?sort=errors":                    "bravo delta alpha echo golf hotel india",
		"?sort=downtime":                  "alpha delta echo bravo golf hotel india",
		"?sort=latency":                   "india delta alpha echo bravo golf hotel",
		"?only=problems":                  "delta alpha hotel",
		"?only=problems&q=L4CON":          "alpha",
		"?q=KERNEL":                       "echo",
		"?q=10.7.7":                       "hotel",
		"?q=nodes/golf":                   "golf",
		"?q=down+nodes":                   "alpha echo",
		"?q=nowhere":                      "",
		"?q=" + strings.Repeat("x", 5000): "",
	} {
		if got := chosen(t, d, query); got != want {
			t.Errorf("%s shows %q, want %q", query, got, want)
		}
	}
}

// The form shows what was chosen, and what a user has typed cannot become markup.
func TestChoiceForm(t *testing.T) {
	t.Parallel()
	d := newDesk(edited(unedited))
	text := body(t, d.ask("GET", `/?q=%22%3E%3Cscript%3E&sort=errors&only=problems`, ""))
	for _, want := range []string{`value="&#34;&gt;&lt;script&gt;"`, `<option value="errors" selected>`, `value="problems" checked`, "No server of this backend matches", `<form id="choice" role="search" method="get">`} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	if text := body(t, newDesk(edited(func(s *Snapshot) { s.Backends[0].Servers = s.Backends[0].Servers[:1] })).ask("GET", "/?only=problems", "")); !strings.Contains(text, "No server of this backend has a problem.") {
		t.Error("a page without problems does not say so")
	}
}

// The sums of a backend are those of all servers, also while only some are shown.
func TestBackendTotals(t *testing.T) {
	t.Parallel()
	d := newDesk(edited(func(s *Snapshot) {
		second := &s.Backends[0].Servers[1]
		second.Responses = map[string]uint64{"2xx": 400, "5xx": 1}
		second.Errors = map[string]uint64{"reset": 3, "client_abort": 50}
	}))
	for _, query := range []string{"", "?q=node1"} {
		_, foot, _ := strings.Cut(body(t, d.ask("GET", "/"+query, "")), "<tfoot>")
		foot, _, _ = strings.Cut(foot, "</tfoot>")
		for _, want := range []string{"All 3 servers", "<b>28</b>", `data-label="2xx">1` + "\u202f" + `000<`, `data-label="5xx">5<`, `<b class="bad">4</b>`, "clients 50", "3m05s", "2 ×", "4 failed", "of 2" + "\u202f" + "401"} {
			if !strings.Contains(foot, want) {
				t.Errorf("%s: the sums lack %q: %s", query, want, foot)
			}
		}
	}
}

// What a client breaks off and what an operator ends is no error of the server: a red number
// sends somebody to look at a server that is well.
func TestOthersEndsAreNoErrors(t *testing.T) {
	t.Parallel()
	d := newDesk(edited(func(s *Snapshot) {
		s.Backends[0].Servers[0].Errors = map[string]uint64{"client_abort": 12, "abort": 3}
		s.Backends[0].Servers[2].Errors = map[string]uint64{"client_abort": 12, "abort": 3, "server_timeout": 4, "reset": 1}
	}))
	text := body(t, d.ask("GET", "/", ""))
	if row := rowOf(t, text, "nodes/node1"); !strings.Contains(row, `data-label="Errors">0<`) || !strings.Contains(row, "clients 12<") || !strings.Contains(row, "mcplb 3<") {
		t.Errorf("node1: %s", row)
	}
	if row := rowOf(t, text, "nodes/node3"); !strings.Contains(row, `data-label="Errors"><b class="bad">5</b><small>server timeout</small>`) {
		t.Errorf("node3: %s", row)
	}
	if n := (&Server{Errors: map[string]uint64{"client_abort": 1}}).ServerErrors(); n != 0 {
		t.Errorf("%d errors", n)
	}
	if text := body(t, newDesk(edited(func(s *Snapshot) { s.Frontends[0].Refused = map[string]uint64{"banned": 4, "client_gone": 2} })).ask("GET", "/", "")); strings.Contains(text, "open files ran out") {
		t.Error("refusals that clients cause are shown as those for lack of servers")
	}
}

// Findings of one kind are one line, whatever their number; it can be opened.
func TestFindingsCollapse(t *testing.T) {
	t.Parallel()
	source := edited(func(s *Snapshot) {
		one := s.Backends[0].Servers[1]
		one.Admin = AdminReady
		s.Backends[0].Servers = s.Backends[0].Servers[:1]
		for i := range 97 {
			one.Name = fmt.Sprintf("n%d", i)
			s.Backends[0].Servers = append(s.Backends[0].Servers, one)
		}
		s.RateLimit.Throttled, s.RateLimit.BansActive, s.Process.AccessLog = nil, 0, nil
	})
	text := body(t, newDesk(source).ask("GET", "/", ""))
	_, findings, _ := strings.Cut(text, `<section id="findings"`)
	findings, _, _ = strings.Cut(findings, "</section>")
	if n := strings.Count(findings, `<div class="finding`); n != 2 { // and clients that wait
		t.Errorf("%d findings", n)
	}
	for _, want := range []string{"97 servers are down: nodes/n0, nodes/n1, nodes/n2 and 94 more</summary>", "server nodes/n96 is down for 5s", "1 clients wait"} {
		if !strings.Contains(findings, want) {
			t.Errorf("the findings lack %q", want)
		}
	}
	s := snapshotOf(source)
	if sum := assess(&s); len(sum.Findings) != maxFindings+1 || len(sum.groups) != 2 {
		t.Errorf("the status has %d findings, the page %d", len(sum.Findings), len(sum.groups))
	}
	for about, text := range together {
		if got := groupOf([]Finding{{about: about, name: "a", Text: "a x"}, {about: about, name: "b", Text: "b x"}}); strings.Contains(got.Text, "%!") || about != kindNoServer && !strings.HasSuffix(got.Text, ": a and b") {
			t.Errorf("%s: %s", text, got.Text)
		}
	}
}

// Each number has the unit in which it can be read.
func TestReadableUnits(t *testing.T) {
	t.Parallel()
	for seconds, want := range map[float64]string{
		0: "-", -1: "-", 0.000001: "<0.01 ms", 0.00005: "0.05 ms", 0.0002: "0.2 ms", 0.00025: "0.25 ms", 0.0123: "12.3 ms", 0.85: "850 ms", 0.9994: "999 ms",
		0.9996: "1 s", 1.43: "1.43 s", 9.999: "10 s", 12.34: "12.3 s", 99.96: "100 s", 120: "120 s",
	} {
		if got := inWords(seconds); got != want {
			t.Errorf("%v s is shown as %q, want %q", seconds, got, want)
		}
	}
	for n, want := range map[uint64]string{0: "0", 9999: "9\u202f999", 10_000: "10k", 12_345: "12.3k", 999_499: "999k", 999_500: "1M", 1_500_000: "1.5M", 2e9: "2G", 5e12: "5T"} {
		if got := short(n); got != want {
			t.Errorf("%d is shown as %q, want %q", n, got, want)
		}
	}
	d := newDesk(edited(func(s *Snapshot) {
		one := &s.Backends[0].Servers[0]
		one.RecentResponses, one.RecentP50Seconds, one.RecentP95Seconds, one.RecentP99Seconds = 5, 0.0002, 0.85, 1.43
	}))
	text := body(t, d.ask("GET", "/", ""))
	if row := rowOf(t, text, "nodes/node1"); !strings.Contains(row, "<small>0.2 ms</small>850 ms<small>1.43 s</small>") {
		t.Errorf("node1: %s", row)
	}
	if row := rowOf(t, text, "nodes/node2"); !strings.Contains(row, `data-label="p50, p95, p99">–<`) {
		t.Errorf("node2, without responses: %s", row)
	}
}

// The code of a check is explained where it stands: for the pointer and for a screen reader.
func TestCheckCodesAreExplained(t *testing.T) {
	t.Parallel()
	text := body(t, newDesk(edited(unedited)).ask("GET", "/", ""))
	if row := rowOf(t, text, "nodes/node2"); !strings.Contains(row, `class="bad" title="the connection was refused, or`) || !strings.Contains(row, `aria-describedby="code-L4CON"`) || !strings.Contains(row, "3 failed") {
		t.Errorf("node2: %s", row)
	}
	for _, c := range checkCodeList {
		if !strings.Contains(text, `<dd id="code-`+c.Name+`">`) {
			t.Errorf("%s is not explained", c.Name)
		}
	}
}

// The servers come first: before frontends and plots.
func TestOrderOfSections(t *testing.T) {
	t.Parallel()
	source := edited(unedited)
	history := NewHistory(source)
	history.sample()
	text := body(t, request(NewAdminHandler(Options{Source: source, Control: &recorder{}, History: history}), "GET", "/"))
	last := -1
	for _, section := range []string{`id="findings"`, `id="choice"`, `class="servers"`, `<h2>Frontends</h2>`, `class="plots"`, `id="events"`, "Why connections ended"} {
		at := strings.Index(text, section)
		if at <= last {
			t.Errorf("%s is at %d, before the section above it", section, at)
		}
		last = at
	}
}
