package admin

import (
	"fmt"
	"slices"
	"time"
)

// Level says how bad something is.
type Level string

// The levels, from good to bad. A notice is nothing to be mended, such as a
// server that an operator drains.
const (
	Healthy  Level = "healthy"
	Notice   Level = "notice"
	Degraded Level = "degraded" // clients are served, but something is to be mended
	Critical Level = "critical" // clients are not served, or will soon not be
)

// Summary is what an operator should know first.
type Summary struct {
	Level    Level     `json:"level"`    // healthy, degraded or critical
	Findings []Finding `json:"findings"` // the worst first
}

// Finding is one thing out of the ordinary.
type Finding struct {
	Level  Level  `json:"level"`  // notice, degraded or critical
	Text   string `json:"text"`   // what is so
	Advice string `json:"advice"` // what to do
}

// assess draws up the summary.
func assess(s *Snapshot) Summary {
	sum := Summary{Level: Healthy, Findings: []Finding{}}
	sum.process(&s.Process)
	for _, reason := range troubles(s) {
		if reason != "draining" {
			sum.add(Critical, reason, "see its servers' check results; start the servers, or set one to ready")
		}
	}
	for i := range s.Frontends {
		sum.frontend(&s.Frontends[i])
		sum.certificates(s.Time, &s.Frontends[i])
	}
	for i := range s.Backends {
		sum.backend(s, &s.Backends[i])
	}
	if n := s.RateLimit.BansActive; n > 0 {
		sum.add(Notice, banned(n), "mcplb bans shows them, mcplb unban ADDRESS lifts one")
	}
	slices.SortStableFunc(sum.Findings, func(a, b Finding) int { return rankOf(b.Level) - rankOf(a.Level) })
	if len(sum.Findings) > 0 && sum.Findings[0].Level != Notice {
		sum.Level = sum.Findings[0].Level
	}
	sum.shorten()
	return sum
}

// mostFindings are listed. Where a rack is down nobody reads every server of it.
const mostFindings = 20

// shorten leaves out what goes beyond that, the least bad, and says so.
func (sum *Summary) shorten() {
	more := len(sum.Findings) - mostFindings
	if more <= 0 {
		return
	}
	level := sum.Findings[mostFindings].Level
	sum.Findings = sum.Findings[:mostFindings]
	sum.add(level, fmt.Sprintf("and %d findings more", more), "the table of servers shows each")
}

func rankOf(level Level) int {
	return slices.Index([]Level{Healthy, Notice, Degraded, Critical}, level)
}

func (sum *Summary) add(level Level, text, advice string) {
	sum.Findings = append(sum.Findings, Finding{level, text, advice})
}

// process finds what concerns the balancer as a whole.
func (sum *Summary) process(p *Process) {
	if p.Draining {
		sum.add(Critical, "the balancer is draining: it takes no new clients and will end", "nothing, if it was told to stop")
	}
	if full := p.Connections.Limit > 0 && p.Connections.Current >= p.Connections.Limit; p.AcceptPaused || full {
		sum.add(Critical, fmt.Sprintf("new clients wait: %d of %d connections are taken (%s)", p.Connections.Current, p.Connections.Limit, orElse(p.AcceptPauseReason, "maxconn")),
			"raise global.maxconn (and the open-files limit) and reload, or find who holds the connections: mcplb connections")
	} else if p.Connections.Limit > 0 && p.Connections.Current*10 >= p.Connections.Limit*9 {
		sum.add(Degraded, fmt.Sprintf("%d of %d connections (maxconn) are taken", p.Connections.Current, p.Connections.Limit),
			"raise global.maxconn (and the open-files limit) and reload")
	}
	if p.acceptsFail {
		sum.add(Critical, fmt.Sprintf("clients could not be accepted in the last minute, as a rule for want of open files: %d are in use", p.OpenFiles.Used),
			"raise LimitNOFILE= in the systemd unit (ulimit -n) and the machine's fs.file-max, and restart")
	}
	if f := p.OpenFiles; f.Limit > 0 && f.Used*100 >= f.Limit*95 {
		sum.add(Degraded, fmt.Sprintf("%d of %d open files are in use", f.Used, f.Limit), "raise LimitNOFILE= in the systemd unit, or ulimit -n, and restart")
	}
	if log := p.AccessLog; log != nil && log.Error != "" {
		sum.add(Degraded, "the access log "+log.Path+" cannot be written: "+log.Error, "see to its directory and the disk; lines are lost meanwhile")
	}
	if !p.Reload.Success && p.Reload.Error != "" {
		sum.add(Degraded, "the last reload failed, the configuration before is in force: "+p.Reload.Error, "mend the file (mcplb check -c "+p.ConfigPath+"), then mcplb reload")
	}
}

// certificates finds those that will soon expire, or have.
func (sum *Summary) certificates(now time.Time, f *Frontend) {
	if f.TLS == nil {
		return
	}
	for i := range f.TLS.Certificates {
		c := &f.TLS.Certificates[i]
		left := c.NotAfter.Sub(now)
		name := fmt.Sprintf("certificate %s of frontend %s", c.File, f.Name)
		switch {
		case left <= 0:
			sum.add(Critical, fmt.Sprintf("%s expired %s ago", name, forHowLong(-left)), "renew it, then mcplb reload")
		case left < expiresSoon:
			sum.add(Degraded, fmt.Sprintf("%s expires in %s", name, forHowLong(left)), "renew it, then mcplb reload")
		}
	}
}

// expiresSoon is when a certificate's end is worth a word.
const expiresSoon = 14 * 24 * time.Hour

// frontend finds clients that are turned away at the moment.
func (sum *Summary) frontend(f *Frontend) {
	if f.Rates.Refused < 0.5 {
		return
	}
	level := Degraded
	if limited[f.refusing] {
		level = Notice
	}
	sum.add(level, fmt.Sprintf("frontend %s turns away %.0f clients a second, most of them for %s", f.Name, f.Rates.Refused, f.refusing),
		"the README's chapter on refused clients says what each reason means")
}

// limited are reasons that clients are the cause of.
var limited = map[string]bool{"banned": true, "connection_rate": true, "source_connections": true, "global_connection_rate": true, "client_gone": true}

// backend finds servers that do not serve as they should.
func (sum *Summary) backend(s *Snapshot, b *Backend) {
	for i := range b.Servers {
		sum.server(s.Time, b, &b.Servers[i])
	}
	if b.QueueCurrent > 0 {
		sum.add(Degraded, fmt.Sprintf("%d clients wait for a slot of backend %s: its servers are full", b.QueueCurrent, b.Name), "add servers, or raise their maxconn")
	}
	typical := median(b)
	for i := range b.Servers {
		if p95 := b.Servers[i].RecentP95Seconds; p95 > slowAbove && p95 > slowFactor*typical {
			sum.add(Degraded, fmt.Sprintf("server %s/%s is slow: p95 %s in the last minute, the backend's median server %s", b.Name, b.Servers[i].Name, inWords(p95), inWords(typical)),
				fmt.Sprintf("look at that node; mcplb drain %s/%s spares new clients", b.Name, b.Servers[i].Name))
		}
	}
}

// When a server is called slow: over this many seconds, and so many times what
// the median server takes.
const (
	slowAbove  = 0.1
	slowFactor = 3
)

// median is the median of the servers' latencies, leaving out those that have
// none.
func median(b *Backend) float64 {
	var all []float64
	for i := range b.Servers {
		if p95 := b.Servers[i].RecentP95Seconds; p95 > 0 {
			all = append(all, p95)
		}
	}
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[(len(all)-1)/2]
}

// server finds what is wrong with one server.
func (sum *Summary) server(now time.Time, b *Backend, server *Server) {
	name := b.Name + "/" + server.Name
	switch {
	case server.Admin != AdminReady:
		sum.add(Notice, fmt.Sprintf("server %s is in %s (%s)", name, server.Admin, orElse(server.AdminReason, "no reason given")), "mcplb ready "+name+" takes it back into service")
	case server.State == ServerDown:
		sum.add(Degraded, fmt.Sprintf("server %s is down for %s: %s", name, forHowLong(now.Sub(server.Since)), server.Reason), "look at that node: is its process running, does it answer its check?")
	case server.Suspect:
		sum.add(Degraded, fmt.Sprintf("server %s does not answer its check in time: %s", name, server.Reason), "look at that node: it may hang")
	case server.Connections.Limit > 0 && server.Connections.Current >= server.Connections.Limit:
		sum.add(Degraded, fmt.Sprintf("server %s is full: %d connections", name, server.Connections.Current), "raise its maxconn (mcplb maxconn "+name+" N), or add servers")
	}
}

func banned(n int64) string {
	if n == 1 {
		return "1 source is banned"
	}
	return fmt.Sprintf("%d sources are banned", n)
}

func orElse(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// forHowLong is a duration as a person says it: "45s", "12m", "3h20m", "5d4h".
func forHowLong(d time.Duration) string {
	switch d = max(d, 0); {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd%dh", int(d.Hours())/24, int(d.Hours())%24)
}

// inWords is a latency with its unit: "0.25 ms", "12 ms", "1.5 s".
func inWords(seconds float64) string {
	switch {
	case seconds <= 0:
		return "-"
	case seconds < 0.01:
		return fmt.Sprintf("%.2f ms", seconds*1000)
	case seconds < 1:
		return fmt.Sprintf("%.0f ms", seconds*1000)
	}
	return fmt.Sprintf("%.1f s", seconds)
}
