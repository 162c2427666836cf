package admin

import (
	"cmp"
	"fmt"
	"html/template"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// pageFuncs are the functions of the page template.
var pageFuncs = template.FuncMap{
	"count":     func(n int64) string { return grouped(uint64(max(n, 0))) },
	"ucount":    grouped,
	"short":     short,
	"exact":     exact,
	"rate":      func(r float64) string { return strings.TrimSuffix(strconv.FormatFloat(round3(r), 'f', -1, 64), ".0") },
	"bytes":     inBytes,
	"ubytes":    func(n uint64) string { return inBytes(float64(n)) },
	"ibytes":    func(n int64) string { return inBytes(float64(n)) },
	"percent":   func(part float64) string { return fmt.Sprintf("%.1f%%", 100*part) },
	"latency":   inWords,
	"ago":       func(seconds float64) string { return forHowLong(time.Duration(seconds * float64(time.Second))) },
	"since":     func(now, then time.Time) string { return forHowLong(now.Sub(then)) },
	"clock":     clockOf,
	"limit":     func(n int64) string { return orElse(strings.TrimPrefix(grouped(uint64(max(n, 0))), "0"), "∞") },
	"weight":    func(w float64) string { return strconv.FormatFloat(w, 'f', 1, 64) },
	"sum":       total,
	"faults":    faults,
	"worst":     func(counters map[string]uint64) string { return spaced(worstOf(counters)) },
	"failures":  func(s *Server) string { return spaced(worstOf(serverErrors(s))) },
	"list":      listOf,
	"classes":   func() []string { return statusClasses },
	"class":     classOf,
	"words":     wordsOf,
	"trouble":   func(s *Server) bool { return s.State == ServerDown || s.Suspect },
	"slow":      func(s *Server) bool { return s.EffectiveWeight < float64(s.Weight) },
	"failed":    func(c Check) bool { return c.Code != "" && !strings.Contains(c.Code, "OK") },
	"code":      CheckCode,
	"event":     func(e Event) string { return e.words() },
	"codes":     checkCodes,
	"address":   address,
	"addresses": addresses,
	"nameline":  nameLine,
}

// statusClasses are the classes of responses, in the order of the columns.
var statusClasses = []string{"1xx", "2xx", "3xx", "4xx", "5xx", "other"}

// clockOf formats the time of day where now is read.
func clockOf(now, then time.Time) string { return then.In(now.Location()).Format("15:04:05") }

// short formats a count in few characters: "9 999", "12.3k", "1.5M".
func short(n uint64) string {
	if n < 10_000 {
		return grouped(n)
	}
	value := float64(n) / 1000
	for _, unit := range []string{"k", "M", "G"} {
		if value < 999.5 {
			return strconv.FormatFloat(round3(value), 'f', -1, 64) + unit
		}
		value /= 1000
	}
	return strconv.FormatFloat(round3(value), 'f', -1, 64) + "T"
}

// exact is the whole of a count that short abbreviates; "" if it does not.
func exact(n uint64) string {
	if n < 10_000 {
		return ""
	}
	return grouped(n)
}

// faults counts the refusals that clients do not cause.
func faults(refused map[string]uint64) uint64 {
	sum := uint64(0)
	for reason, n := range refused {
		if !limited[reason] {
			sum += n
		}
	}
	return sum
}

// serverErrors are the errors that are the server's.
func serverErrors(s *Server) map[string]uint64 {
	own := maps.Clone(s.Errors)
	delete(own, clientAbort)
	delete(own, ownAbort)
	return own
}

// spaced turns a reason into words, which a narrow column can break.
func spaced(reason string) string { return strings.ReplaceAll(reason, "_", " ") }

// round3 rounds r to three digits, or to an integer if that has more.
func round3(r float64) float64 {
	switch {
	case r >= 100:
		return float64(int64(r + 0.5))
	case r >= 10:
		return float64(int64(10*r+0.5)) / 10
	}
	return float64(int64(100*r+0.5)) / 100
}

// grouped formats n with narrow spaces between groups of three digits.
func grouped(n uint64) string {
	text := strconv.FormatUint(n, 10)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "\u202f" + text[i:]
	}
	return text
}

// inBytes formats a number of bytes, in powers of 1000.
func inBytes(n float64) string {
	for _, unit := range []string{"B", "kB", "MB", "GB", "TB"} {
		if n < 999.5 || unit == "TB" {
			return strconv.FormatFloat(round3(n), 'f', -1, 64) + "\u202f" + unit
		}
		n /= 1000
	}
	return ""
}

// worstOf returns the most frequent reason, or "" if all counters are 0.
func worstOf(counters map[string]uint64) string {
	for _, reason := range ranked(counters) {
		return reason
	}
	return ""
}

// ranked returns the reasons whose counters are not 0, the most frequent first.
func ranked(counters map[string]uint64) []string {
	var reasons []string
	for reason, n := range counters {
		if n > 0 {
			reasons = append(reasons, reason)
		}
	}
	slices.SortFunc(reasons, func(a, b string) int {
		return cmp.Or(cmp.Compare(counters[b], counters[a]), strings.Compare(a, b))
	})
	return reasons
}

// listOf lists the counters that are not 0, the greatest first.
func listOf(counters map[string]uint64) string {
	var parts []string
	for _, reason := range ranked(counters) {
		parts = append(parts, reason+"\u00a0"+grouped(counters[reason]))
	}
	return orElse(strings.Join(parts, ", "), "none")
}

// classOf returns the CSS class of a server, which determines its color.
func classOf(s *Server) string {
	switch {
	case s.Admin != AdminReady:
		return string(s.Admin)
	case s.State != ServerDown && s.Suspect:
		return "suspect"
	case s.asksToDrain():
		return string(AdminDrain)
	}
	return string(s.State)
}

// wordsOf describes a server's state.
func wordsOf(s *Server) string {
	words := string(s.State)
	if s.Admin != AdminReady {
		words = string(s.Admin) + ", " + words
	}
	if s.asksToDrain() {
		words += ", asks to be drained"
	}
	if s.Suspect && s.State != ServerDown {
		words += "?"
	}
	if s.Backup {
		words += ", backup"
	}
	return words
}

// address returns a server's first address.
func address(s *Server) string {
	for _, endpoint := range []string{"tcp", "http", "ws", "sse"} {
		if found := s.Addresses[endpoint]; found != "" {
			return found
		}
	}
	return ""
}

// addresses returns all addresses of a server, with their endpoints.
func addresses(s *Server) string {
	var parts []string
	for _, endpoint := range []string{"tcp", "http", "ws", "sse"} {
		if found := s.Addresses[endpoint]; found != "" {
			parts = append(parts, endpoint+" "+found)
		}
	}
	return strings.Join(parts, ", ")
}

// nameLine says which address a name stands for, how old that is, and what is wrong.
func nameLine(now time.Time, n Name) string {
	text := n.Name + ": " + orElse(n.Address, "no address")
	if !n.Answered.IsZero() {
		text += ", answered " + forHowLong(now.Sub(n.Answered)) + " ago"
	}
	if n.Error != "" {
		text += "; " + n.Error
	}
	if !n.HeldUntil.IsZero() {
		text += "; kept for " + forHowLong(n.HeldUntil.Sub(now)) + " more"
	}
	return text
}

// orElse returns text or, if it is empty, otherwise.
func orElse(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// forHowLong formats a duration in its two largest units: "45s", "12m05s", "3h20m",
// "5d4h".
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

// inWords formats a latency in the unit that makes it readable: "0.25 ms", "850 ms",
// "1.43 s"; "-" if there is none.
func inWords(seconds float64) string {
	switch ms := seconds * 1000; {
	case !(seconds > 0):
		return "-"
	case ms < 0.01:
		return "<0.01 ms"
	case ms < 999.5:
		return threeDigits(ms) + " ms"
	}
	return threeDigits(seconds) + " s"
}

// threeDigits formats a positive number with three digits, or all before the point, without
// zeros at the end.
func threeDigits(n float64) string {
	decimals := 2
	switch {
	case n >= 99.95:
		return strconv.FormatFloat(n, 'f', 0, 64)
	case n >= 9.995:
		decimals = 1
	}
	return strings.TrimSuffix(strings.TrimRight(strconv.FormatFloat(n, 'f', decimals, 64), "0"), ".")
}
