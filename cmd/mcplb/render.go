package main

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"mcplb/proxy/admin"
)

// order is the order of the servers.
type order int

const (
	asInFile order = iota
	byConnections
	byMessages
	byLatency
	orders // the number of orders
)

func (o order) String() string {
	return [...]string{"as in the file", "by connections", "by messages", "by latency"}[o]
}

// sorted returns the servers in an order, the greatest first.
func (o order) sorted(servers []admin.Server) []admin.Server {
	sorted := slices.Clone(servers)
	by := func(value func(*admin.Server) float64) {
		slices.SortStableFunc(sorted, func(a, b admin.Server) int { return cmp.Compare(value(&b), value(&a)) })
	}
	switch o {
	case byConnections:
		by(func(s *admin.Server) float64 { return float64(s.Connections.Current) })
	case byMessages:
		by(func(s *admin.Server) float64 { return s.Rates.Messages })
	case byLatency:
		by(func(s *admin.Server) float64 { return s.RecentP95Seconds })
	}
	return sorted
}

// writeStatus writes the status for a terminal. Texts of servers and operators cannot
// contain control sequences for the terminal.
func writeStatus(out io.Writer, s *admin.Snapshot, servers order) {
	writeClean(out, func(w io.Writer) { writeAll(w, s, servers) })
}

// writeClean writes what write writes, without control characters.
func writeClean(out io.Writer, write func(io.Writer)) {
	var text bytes.Buffer
	write(&text)
	// There is nothing to do about a reader that has gone.
	_, _ = out.Write(bytes.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' {
			return '?'
		}
		return r
	}, text.Bytes()))
}

func writeAll(w io.Writer, s *admin.Snapshot, servers order) {
	p := &s.Process
	fmt.Fprintf(w, "mcplb %s  %s  pid %d  up %s  %s\n", p.Version, p.ConfigPath, p.PID, roughly(p.UptimeSeconds), strings.ToUpper(string(s.Summary.Level)))
	fmt.Fprintf(w, "connections %d of %d (peak %d)  %s conn/s  %s msg/s  in %sB/s  out %sB/s  open files %d of %d  memory %sB\n",
		p.Connections.Current, p.Connections.Limit, p.Connections.Peak, perSecond(p.Rates.Connections), perSecond(p.Rates.Messages),
		scaled(p.Rates.BytesIn), scaled(p.Rates.BytesOut), p.OpenFiles.Used, p.OpenFiles.Limit, scaled(float64(p.Resident)))
	writeLimits(w, &s.RateLimit)
	for _, f := range s.Summary.Findings {
		fmt.Fprintf(w, "%s %s\n  -> %s\n", strings.ToUpper(string(f.Level)), f.Text, f.Advice)
	}
	writeThrottled(w, s.RateLimit.Throttled)
	writeBans(w, &s.RateLimit)
	writeFrontends(w, s.Frontends)
	for i := range s.Backends {
		writeBackend(w, s.Time, &s.Backends[i], servers)
	}
}

// writeFleet shows what several balancers share, and who they are.
func writeFleet(w io.Writer, f *admin.Fleet) {
	fmt.Fprintf(w, "fleet %s  %s  shares %s  ", f.Name, f.Redis, cmp.Or(strings.Join(f.Shares, ", "), "nothing but this list"))
	if f.Connected {
		fmt.Fprintf(w, "round trip %s  waiting %d  errors %d\n", time.Duration(f.RoundTripSeconds*float64(time.Second)).Round(100*time.Microsecond), f.Waiting, f.Errors)
	} else {
		fmt.Fprintf(w, "NOT CONNECTED for %s: %s\n  -> %s\n", roughly(f.LagSeconds), cmp.Or(f.Error, "no answer yet"), f.Advice)
	}
	if f.Conflict {
		fmt.Fprintf(w, "another balancer calls itself %s, too\n  -> give each its own fleet.instance, and reload\n", f.Instance)
	}
	fmt.Fprintln(w)
	table := newTable(w)
	fmt.Fprintln(table, "BALANCER\tSTATE\tCONNS\tMSG/S\tADMIN\tVERSION\tAGE")
	for _, b := range f.Balancers {
		name := b.Instance
		if b.Self {
			name += " (this one)"
		}
		fmt.Fprintf(table, "%s\t%s\t%d\t%s\t%s\t%s\t%.1fs\n", name, b.State, b.Connections, perSecond(b.MessagesPerSecond), cmp.Or(b.Admin, "-"), b.Version, b.AgeSeconds)
	}
	table.Flush()
}

// writeLimits shows what the limits have done, if they have done anything.
func writeLimits(w io.Writer, r *admin.RateLimit) {
	refused := sumOf(r.Refused)
	if r.MessagesDelayed+r.MessagesRejected+refused+r.BansImposed == 0 && r.BansActive == 0 {
		return
	}
	fmt.Fprintf(w, "limits  messages delayed %d  rejected %d  connections refused %d  sources banned %d (%d in total)\n",
		r.MessagesDelayed, r.MessagesRejected, refused, r.BansActive, r.BansImposed)
}

// mostSources is how many limited sources, and how many banned ones, are shown: the
// frontends and servers below must stay on the screen.
const mostSources = 5

// writeThrottled shows the sources that limits delay or refuse, the most affected first.
func writeThrottled(w io.Writer, sources []admin.Throttled) {
	if len(sources) == 0 {
		return
	}
	fmt.Fprintln(w)
	table := newTable(w)
	fmt.Fprintln(table, "LIMITED SOURCE\tFOR\tDELAYED\tREJECTED\tREFUSED")
	for _, t := range sources[:min(len(sources), mostSources)] {
		name := cmp.Or(t.Source, "all together")
		if t.TrustedProxy {
			name += " (trusted proxy)"
		}
		fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%d\n", name, roughly(t.ForSeconds), t.Delayed, t.Rejected, t.Refused)
	}
	table.Flush()
	if more := len(sources) - mostSources; more > 0 {
		fmt.Fprintf(w, "and %d more: mcplb status -json shows them\n", more)
	}
}

// writeBans shows banned sources.
func writeBans(w io.Writer, r *admin.RateLimit) {
	if len(r.Bans) == 0 {
		return
	}
	fmt.Fprintln(w)
	table := newTable(w)
	fmt.Fprintln(table, "BANNED SOURCE\tREASON\tREMAINING")
	for _, b := range r.Bans[:min(len(r.Bans), mostSources)] {
		fmt.Fprintf(table, "%s\t%s\t%s\n", b.Source, b.Reason, remaining(&b))
	}
	table.Flush()
	if more := int(r.BansActive) - mostSources; more > 0 {
		fmt.Fprintf(w, "and %d more: mcplb bans shows them\n", more)
	}
}

func writeFrontends(w io.Writer, frontends []admin.Frontend) {
	fmt.Fprintln(w)
	table := newTable(w)
	fmt.Fprintln(table, "FRONTEND\tMODE\tLISTEN\tSTATE\tCONNS\tPEAK\tH2\tCONN/S\tMSG/S\tIN/S\tOUT/S\tREFUSED\tDELAYED\tREJECTED")
	for i := range frontends {
		f := &frontends[i]
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d\t%d\t%s\t%s\t%s\t%s\t%s\t%d\t%d\t%d\n", f.Name, f.Mode, strings.Join(f.Listen, " "), f.State,
			f.Connections.Current, f.Connections.Peak, openStreams(f), perSecond(f.Rates.Connections), perSecond(f.Rates.Messages),
			scaled(f.Rates.BytesIn), scaled(f.Rates.BytesOut), sumOf(f.Refused), f.MessagesDelayed, f.MessagesRejected)
	}
	table.Flush()
}

// openStreams is how many streams of HTTP/2 a frontend has open, if it has had any.
func openStreams(f *admin.Frontend) string {
	if f.HTTP == nil || f.HTTP.HTTP2Connections == 0 {
		return "-"
	}
	return strconv.FormatInt(f.HTTP.HTTP2Current, 10)
}

func writeBackend(w io.Writer, now time.Time, b *admin.Backend, servers order) {
	fmt.Fprintf(w, "\nBACKEND %s (%s)  %d of %d servers usable  queue %d (peak %d)  sticky sources %d\n",
		b.Name, b.Balance, b.ServersUsable, b.ServersTotal, b.QueueCurrent, b.QueuePeak, b.StickySources)
	writeDiscovery(w, b.Discovery)
	table := newTable(w)
	fmt.Fprintln(table, "SERVER\tSTATE\tFOR\tCONNS\tMAX\tQUEUE\tSTREAMS\tWS\tSHARE\tFAIR\tWEIGHT\tMSG/S\tP50\tP95\tP99\tERRORS\tSESSIONS\tLAST CHECK")
	for _, server := range servers.sorted(b.Servers) {
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%s\t%s\t%d\t%s\t%s\t%s\t%s\t%d\t%d\t%s\n", server.Name, stateOf(&server),
			roughly(now.Sub(server.ShownSince()).Seconds()), server.Connections.Current, server.Connections.Limit,
			server.Queued, server.Streams, server.Tunnels,
			percent(server.Share), percent(server.FairShare), server.Weight, perSecond(server.Rates.Messages),
			latency(server.Response.P50Seconds), latency(server.Response.P95Seconds), latency(server.Response.P99Seconds),
			server.ServerErrors(), server.Sessions, checkOf(&server.Check))
	}
	table.Flush()
	writeNames(w, b.Servers)
}

// writeNames shows the host names of a backend's servers, if they have any.
func writeNames(w io.Writer, servers []admin.Server) {
	if !slices.ContainsFunc(servers, func(s admin.Server) bool { return len(s.Names) > 0 }) {
		return
	}
	table := newTable(w)
	fmt.Fprintln(table, "SERVER\tNAME\tADDRESS\tOF\tAGE\tLAST ERROR")
	for i := range servers {
		for _, n := range servers[i].Names {
			age := "-"
			if !n.Answered.IsZero() {
				age = roughly(n.AgeSeconds)
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%s\t%s\n", servers[i].Name, n.Name, cmp.Or(n.Address, "-"), n.Addresses, age, cmp.Or(n.Error, "-"))
		}
	}
	table.Flush()
}

// writeDiscovery shows how the servers of a backend are found.
func writeDiscovery(w io.Writer, d *admin.Discovery) {
	if d == nil {
		return
	}
	answered := "no answer yet"
	if !d.Answered.IsZero() {
		answered = "answered " + roughly(d.AgeSeconds) + " ago"
	}
	fmt.Fprintf(w, "%d servers found by %s (%s)  %s", d.Servers, d.Kind, d.Target, answered)
	if d.Left > 0 {
		fmt.Fprintf(w, "  %d more are not used", d.Left)
	}
	if d.Error != "" {
		fmt.Fprintf(w, "  now: %s", d.Error)
	}
	fmt.Fprintln(w)
}

// stateOf is a server's state in few words.
func stateOf(s *admin.Server) string {
	words := string(s.State)
	if s.Admin != admin.AdminReady {
		words += ", " + string(s.Admin)
	}
	if s.Withdrawn {
		words += ", leaving"
	}
	if s.Source == "runtime" {
		words += ", added"
	}
	if s.DrainRequest != "" && s.State != admin.ServerDown {
		words += ", asks to be drained"
	}
	if !s.Emptied.IsZero() {
		words += ", empty"
	}
	if s.Suspect {
		words += ", suspect"
	}
	if s.Backup {
		words += ", backup"
	}
	return words
}

// checkOf is the result of the last check.
func checkOf(c *admin.Check) string {
	text := strings.TrimSpace(c.Code + " " + c.Text)
	if c.Progress != "" {
		text += " (" + c.Progress + ")"
	}
	return orDash(text)
}

func sumOf(counters map[string]uint64) (sum uint64) {
	for _, n := range counters {
		sum += n
	}
	return sum
}

func percent(part float64) string { return fmt.Sprintf("%.1f%%", 100*part) }

func perSecond(rate float64) string {
	if rate < 1000 {
		return fmt.Sprintf("%.3g", rate)
	}
	return scaled(rate)
}

// scaled formats a number with three digits and a unit: 1.23k, 45.6M.
func scaled(n float64) string {
	for _, unit := range []string{"", "k", "M", "G"} {
		if n < 999.5 {
			return fmt.Sprintf("%.3g%s", n, unit)
		}
		n /= 1000
	}
	return fmt.Sprintf("%.4gT", n)
}

func latency(seconds float64) string {
	switch {
	case seconds <= 0:
		return "-"
	case seconds < 0.01:
		return fmt.Sprintf("%.2fms", 1000*seconds)
	case seconds < 1:
		return fmt.Sprintf("%.0fms", 1000*seconds)
	}
	return fmt.Sprintf("%.2fs", seconds)
}

// roughly formats a duration by its two greatest units: 5d4h, 3h20m, 42s.
func roughly(seconds float64) string {
	d := time.Duration(seconds) * time.Second
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd%dh", int(d.Hours())/24, int(d.Hours())%24)
}
