package admin

import (
	"fmt"
	"slices"
	"time"
)

// Level is the severity of a finding, or of the balancer's state.
type Level string

// The levels in ascending order. A notice needs no repair: for example, an operator
// drains a server.
const (
	Healthy  Level = "healthy"
	Notice   Level = "notice"
	Degraded Level = "degraded" // clients are served, but something needs repair
	Critical Level = "critical" // clients are not served, or soon will not be
)

// Summary is what an operator should know first.
type Summary struct {
	Level    Level     `json:"level"`    // healthy, degraded or critical
	Findings []Finding `json:"findings"` // the most severe first

	groups []findingGroup // all findings, those of one kind together
}

// Finding is one problem or unusual condition.
type Finding struct {
	Level  Level  `json:"level"`  // notice, degraded or critical
	Text   string `json:"text"`   // the condition
	Advice string `json:"advice"` // what to do

	about kind   // "" = of no kind
	name  string // of what it is about
}

// assess returns the summary of s.
func assess(s *Snapshot) Summary {
	sum := Summary{Level: Healthy, Findings: []Finding{}}
	sum.process(&s.Process)
	for _, reason := range healthProblems(s) {
		if reason != "draining" {
			sum.addOf(kindNoServer, reason, Critical, reason, "look at the check results of its servers; start the servers, or set one to ready")
		}
	}
	for i := range s.Frontends {
		sum.frontend(&s.Frontends[i])
		sum.certificates(s.Time, &s.Frontends[i])
		sum.revocations(s.Time, &s.Frontends[i])
	}
	for i := range s.Backends {
		sum.backend(s, &s.Backends[i])
		sum.discovery(s.Time, &s.Backends[i])
		sum.serverTLS(s.Time, &s.Backends[i])
	}
	sum.fleet(s.Fleet)
	sum.throttled(s.RateLimit.Throttled)
	if n := s.RateLimit.BansActive; n > 0 {
		sum.add(Notice, banned(n), "mcplb bans shows them, mcplb unban ADDRESS lifts one")
	}
	slices.SortStableFunc(sum.Findings, func(a, b Finding) int { return rankOf(b.Level) - rankOf(a.Level) })
	if len(sum.Findings) > 0 && sum.Findings[0].Level != Notice {
		sum.Level = sum.Findings[0].Level
	}
	sum.groups = grouping(sum.Findings)
	sum.shorten()
	return sum
}

// maxFindings limits the list, as a reader does not need every server of a rack that
// is down.
const maxFindings = 20

// shorten replaces the least severe findings above the limit with their number.
func (sum *Summary) shorten() {
	more := len(sum.Findings) - maxFindings
	if more <= 0 {
		return
	}
	level := sum.Findings[maxFindings].Level
	sum.Findings = sum.Findings[:maxFindings]
	sum.add(level, fmt.Sprintf("and %d more findings", more), "the table of servers shows them")
}

func rankOf(level Level) int {
	return slices.Index([]Level{Healthy, Notice, Degraded, Critical}, level)
}

func (sum *Summary) add(level Level, text, advice string) { sum.addOf("", "", level, text, advice) }

// addOf adds a finding of a kind about what has that name.
func (sum *Summary) addOf(about kind, name string, level Level, text, advice string) {
	sum.Findings = append(sum.Findings, Finding{Level: level, Text: text, Advice: advice, about: about, name: name})
}

// process adds findings about the process.
func (sum *Summary) process(p *Process) {
	if p.Draining {
		sum.add(Critical, "the balancer is draining: it accepts no new clients and will end", "nothing, if the stop was intended")
	}
	if full := p.Connections.Limit > 0 && p.Connections.Current >= p.Connections.Limit; p.AcceptPaused || full {
		sum.add(Critical, fmt.Sprintf("new clients wait: %d of %d connections are taken (%s)", p.Connections.Current, p.Connections.Limit, orElse(p.AcceptPauseReason, "maxconn")),
			"raise global.maxconn (and the open-files limit) and reload, or see which clients hold the connections: mcplb connections")
	} else if p.Connections.Limit > 0 && p.Connections.Current*10 >= p.Connections.Limit*9 {
		sum.add(Degraded, fmt.Sprintf("%d of %d connections (maxconn) are taken", p.Connections.Current, p.Connections.Limit),
			"raise global.maxconn (and the open-files limit) and reload")
	}
	if p.acceptsFail {
		sum.add(Critical, fmt.Sprintf("clients could not be accepted in the last minute, as a rule because open files ran out: %d are in use", p.OpenFiles.Used),
			"raise LimitNOFILE= in the systemd unit (ulimit -n) and the machine's fs.file-max, and restart")
	}
	if f := p.OpenFiles; f.Limit > 0 && f.Used*100 >= f.Limit*95 {
		sum.add(Degraded, fmt.Sprintf("%d of %d open files are in use", f.Used, f.Limit), "raise LimitNOFILE= in the systemd unit, or ulimit -n, and restart")
	}
	if log := p.AccessLog; log != nil && log.Error != "" {
		sum.add(Degraded, "the access log "+log.Path+" cannot be written: "+log.Error, "check its directory and the disk; until then lines are lost")
	}
	if !p.Reload.Success && p.Reload.Error != "" {
		sum.add(Degraded, "the last reload failed, the configuration before is in force: "+p.Reload.Error, "fix the file (mcplb check -c "+p.ConfigPath+"), then mcplb reload")
	}
}

// discovery adds a finding about a source of servers that does not answer, and one about
// servers that are too many.
func (sum *Summary) discovery(now time.Time, b *Backend) {
	d := b.Discovery
	if d == nil {
		return
	}
	if d.Error != "" {
		known := "none were found before"
		if d.Servers > 0 {
			known = fmt.Sprintf("the %d found before stay", d.Servers)
		}
		sum.add(Degraded, fmt.Sprintf("servers of backend %s cannot be found by %s (%s) for %s, %s: %s", b.Name, d.Kind, d.Target, forHowLong(now.Sub(d.ErrorSince)), known, d.Error),
			"docs/discovery.md says what each source needs; once it answers, its servers come in by themselves")
	}
	if d.Left > 0 {
		sum.add(Degraded, fmt.Sprintf("%d of %d servers that were found for backend %s are not used", d.Left, d.Left+d.Servers, b.Name), "raise backend."+b.Name+".discover.most and reload")
	}
}

// certificates adds findings about certificates that expire soon or have expired.
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
			sum.addOf(kindExpired, c.File, Critical, fmt.Sprintf("%s expired %s ago", name, forHowLong(-left)), "renew it, then mcplb reload")
		case left < expiresSoon:
			sum.addOf(kindExpiring, c.File, Degraded, fmt.Sprintf("%s expires in %s", name, forHowLong(left)), "renew it, then mcplb reload")
		}
	}
}

// revocations adds findings about lists of revoked certificates that should have been
// replaced. Their clients are served as before.
func (sum *Summary) revocations(now time.Time, f *Frontend) {
	if f.TLS == nil {
		return
	}
	for i := range f.TLS.RevocationLists {
		r := &f.TLS.RevocationLists[i]
		if late := now.Sub(r.NextUpdate); late > 0 && !r.NextUpdate.IsZero() {
			sum.addOf(kindStale, r.Issuer, Degraded, fmt.Sprintf("the revocation list of %s in %s of frontend %s should have been replaced %s ago: certificates revoked since are accepted",
				r.Issuer, r.File, f.Name, forHowLong(late)), "fetch the new list, then mcplb reload")
		}
	}
}

// expiresSoon is how long before its expiry a certificate is reported.
const expiresSoon = 14 * 24 * time.Hour

// frontend adds a finding if the frontend refuses clients now.
func (sum *Summary) frontend(f *Frontend) {
	sum.limits(f)
	if f.Rates.Refused < 0.5 {
		return
	}
	level := Degraded
	if limited[f.refusing] {
		level = Notice
	}
	sum.addOf(kindRefusing, f.Name, level, fmt.Sprintf("frontend %s turns away %.0f clients a second, most of them for %s", f.Name, f.Rates.Refused, f.refusing),
		"docs/reasons.md explains each reason")
}

// limits adds findings about the limits of a frontend's routes that have had an effect
// within the last minute.
func (sum *Summary) limits(f *Frontend) {
	if f.HTTP == nil {
		return
	}
	for i := range f.HTTP.Limits {
		if l := &f.HTTP.Limits[i]; l.Active {
			sum.addOf(kindLimits, f.Name+" "+l.Route, Notice,
				fmt.Sprintf("the limit by %s of route %q of frontend %s is exceeded: %d requests refused, %d delayed so far", l.Key, l.Route, f.Name, l.Refused, l.Delayed),
				"if these clients may do so, raise rate, burst or concurrency in that route's limit, and reload")
		}
	}
}

// limited are the reasons that clients cause.
var limited = map[string]bool{"banned": true, "connection_rate": true, "source_connections": true, "global_connection_rate": true, "client_gone": true}

// backend adds findings about a backend and its servers.
func (sum *Summary) backend(s *Snapshot, b *Backend) {
	for i := range b.Servers {
		sum.server(s.Time, b, &b.Servers[i])
	}
	if b.QueueCurrent > 0 {
		sum.addOf(kindQueueing, b.Name, Degraded, fmt.Sprintf("%d clients wait for a slot of backend %s: its servers are full", b.QueueCurrent, b.Name), "add servers, or raise their maxconn")
	}
	typical := median(b)
	for i := range b.Servers {
		server := &b.Servers[i]
		if p95 := server.RecentP95Seconds; p95 > slowAbove && p95 > slowFactor*typical {
			server.slow = true
			name := b.Name + "/" + server.Name
			sum.addOf(kindSlow, name, Degraded, fmt.Sprintf("server %s is slow: p95 %s in the last minute, the backend's median server %s", name, inWords(p95), inWords(typical)),
				fmt.Sprintf("look at that node; mcplb drain %s keeps new clients away from it", name))
		}
	}
}

// A server is slow if its latency is above both limits.
const (
	slowAbove  = 0.1 // seconds
	slowFactor = 3   // times the latency of the median server
)

// median returns the median of the servers' recent latencies, without servers that
// have none.
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

// server adds findings about one server.
func (sum *Summary) server(now time.Time, b *Backend, server *Server) {
	name := b.Name + "/" + server.Name
	switch {
	case server.Admin != AdminReady:
		sum.addOf(kindNotReady, name, Notice, fmt.Sprintf("server %s is in %s (%s)", name, server.Admin, orElse(server.AdminReason, "no reason given")), "mcplb ready "+name+" takes it back into service")
	case server.State == ServerDown:
		sum.addOf(kindDown, name, Degraded, fmt.Sprintf("server %s is down for %s: %s", name, forHowLong(now.Sub(server.Since)), server.Reason), "look at that node: is its process running, does it answer its check?")
	case server.Suspect:
		sum.addOf(kindSuspect, name, Degraded, fmt.Sprintf("server %s does not answer its check in time: %s", name, server.Reason), "look at that node: its process may hang")
	case server.DrainRequest != "":
		sum.addOf(kindDrains, name, Notice, fmt.Sprintf("server %s asks to be drained for %s: %s", name, forHowLong(now.Sub(server.DrainRequestSince)), server.DrainRequest), "nothing, if that node is about to stop; it gets new clients again once its check answers as expected")
	case server.full():
		sum.addOf(kindFull, name, Degraded, fmt.Sprintf("server %s is full: %d connections", name, server.Connections.Current), "raise its maxconn (mcplb maxconn "+name+" N), or add servers")
	}
	for i := range server.Names {
		sum.name(now, name, &server.Names[i])
	}
}

// name adds a finding about a host name of a server that is kept although look-ups
// fail. One without an address is the reason why its server is down.
func (sum *Summary) name(now time.Time, server string, n *Name) {
	if n.Address == "" || n.Error == "" {
		return
	}
	until := "until it resolves again"
	if !n.HeldUntil.IsZero() {
		until = "for " + forHowLong(n.HeldUntil.Sub(now)) + " more"
	}
	sum.addOf(kindName, server, Degraded, fmt.Sprintf("the name %s does not resolve: %s; server %s keeps the address %s %s", n.Name, n.Error, server, n.Address, until),
		"look at the name servers: mcplb asks those of resolver.nameservers, or of /etc/resolv.conf")
}

func banned(n int64) string {
	if n == 1 {
		return "1 source is banned"
	}
	return fmt.Sprintf("%d sources are banned", n)
}

// mostThrottled is how many throttled sources have findings of their own.
const mostThrottled = 5

// throttled adds findings about the sources that limits delay or refuse. They are
// notices: clients cause them, and most of all others are well.
func (sum *Summary) throttled(sources []Throttled) {
	for i := range sources[:min(len(sources), mostThrottled)] {
		t := &sources[i]
		since := forHowLong(time.Duration(t.ForSeconds * float64(time.Second)))
		if t.Delayed > 0 {
			sum.addOf(kindLimits, t.name(), Notice, fmt.Sprintf("the message rate delays messages of %s: %d in %s", t.name(), t.Delayed, since), t.advice("message_rate and message_burst", "global_message_rate"))
		}
		if t.Rejected > 0 {
			sum.addOf(kindLimits, t.name(), Notice, fmt.Sprintf("the message rate rejects messages of %s: %d in %s", t.name(), t.Rejected, since), t.advice("message_rate and message_burst", "global_message_rate"))
		}
		if t.Refused > 0 {
			sum.addOf(kindLimits, t.name(), Notice, fmt.Sprintf("the limits refuse connections of %s: %d in %s", t.name(), t.Refused, since), t.advice("connection_rate or max_connections", "global_connection_rate"))
		}
	}
	if more := len(sources) - mostThrottled; more > 0 {
		sum.addOf(kindLimits, fmt.Sprintf("%d more", more), Notice, fmt.Sprintf("the limits delay or refuse %d more sources", more), "the table of limits on the stats page, or mcplb status -json, shows them")
	}
}

func (t *Throttled) name() string { return orElse(t.Source, "all sources together") }

// advice says what to do if the clients are to have more: own are the keys of the
// limits of one source, global that of all.
func (t *Throttled) advice(own, global string) string {
	switch {
	case t.Source == "":
		return "if that is too little, raise ratelimit." + global + " and reload"
	case t.TrustedProxy:
		return "it is a trusted proxy that names no clients: let it send X-Forwarded-For (frontend.NAME.forwarded_for = true), or add it to ratelimit.exempt, and reload"
	}
	return "if that client may do so, raise ratelimit." + own + ", or add it to ratelimit.exempt, and reload"
}
