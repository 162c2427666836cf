package admin

import (
	"bytes"
	"cmp"
	"embed"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"
)

//go:embed web
var web embed.FS

// pagePolicy lets the page load its own style and script, speak to where it
// came from, and nothing else (Content Security Policy Level 3).
const pagePolicy = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// statsPage serves the page for people: drawn here, kept up to date by a small
// script that fetches it again.
type statsPage struct {
	view    *view
	access  *Access
	control bool // there are commands
	drawing *template.Template
	log     *slog.Logger
}

func newStatsPage(v *view, o *Options) *statsPage {
	return &statsPage{
		view: v, access: o.Access, control: o.Control != nil, log: o.Log,
		drawing: template.Must(template.New("page.html").Funcs(pageFuncs).ParseFS(web, "web/page.html")),
	}
}

// page is what the template is given.
type page struct {
	S          *Snapshot
	Title      string
	May        bool // whoever asks may use the commands
	NeedsToken bool // he might, with the token
	Backends   []pageBackend
	Plots      []timeline

	Certificates []pageCertificate
}

// pageCertificate is a certificate and who presents it.
type pageCertificate struct {
	Certificate
	Frontend string
	Soon     bool // it expires soon, or has
}

// certificatesOf lists those of all frontends.
func certificatesOf(s *Snapshot) (list []pageCertificate) {
	for i := range s.Frontends {
		if s.Frontends[i].TLS == nil {
			continue
		}
		for _, c := range s.Frontends[i].TLS.Certificates {
			list = append(list, pageCertificate{c, s.Frontends[i].Name, c.NotAfter.Sub(s.Time) < expiresSoon})
		}
	}
	return list
}

// pageBackend is a backend with its distribution drawn.
type pageBackend struct {
	B      *Backend
	Bars   []bar
	Width  int    // of the drawing
	Shown  int    // in pixels, where there is room
	Spread string // how even it is, in words
}

// ServeHTTP implements http.Handler.
func (p *statsPage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s := p.view.take()
	shown := page{S: &s, Title: title(&s), Certificates: certificatesOf(&s)}
	if p.control {
		_, no := p.access.check(r)
		shown.May, shown.NeedsToken = no == nil, no != nil && no.status == http.StatusUnauthorized
	}
	for i := range s.Backends {
		shown.Backends = append(shown.Backends, distributionOf(&s.Backends[i]))
	}
	if p.view.history != nil && r.URL.Query().Get("plots") != "no" {
		shown.Plots = timelinesOf(&s, p.view.history)
	}
	var text bytes.Buffer
	if err := p.drawing.Execute(&text, &shown); err != nil {
		http.Error(w, "the page cannot be drawn: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Security-Policy", pagePolicy)
	w.Header().Set("Vary", "Accept-Encoding, Authorization")
	writeCompressed(w, r, "text/html; charset=utf-8", text.Bytes())
}

// title names what is wrong, so that a tab in the background shows it.
func title(s *Snapshot) string {
	if s.Summary.Level == Healthy {
		return "mcplb"
	}
	return fmt.Sprintf("%s · mcplb", s.Summary.Level)
}

// writeCompressed answers with body, compressed where that is asked for and
// saves much: a page of 200 servers is read every two seconds.
func writeCompressed(w http.ResponseWriter, r *http.Request, contentType string, body []byte) {
	if len(body) > 16<<10 && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		var small bytes.Buffer
		// Neither can fail: the level is one that there is, and memory takes all.
		zip, _ := gzip.NewWriterLevel(&small, gzip.BestSpeed)
		_, _ = zip.Write(body)
		_ = zip.Close()
		w.Header().Set("Content-Encoding", "gzip")
		body = small.Bytes()
	}
	write(w, http.StatusOK, contentType, body)
}

// serveAsset serves style and script.
func serveAsset(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	types := map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}
	body, err := web.ReadFile("web/" + name)
	if err != nil || types[path.Ext(name)] == "" {
		http.NotFound(w, r)
		return
	}
	writeCompressed(w, r, types[path.Ext(name)], body)
}

// serveSchema serves the description of the API.
func serveSchema(w http.ResponseWriter, r *http.Request) {
	body, err := web.ReadFile("web/openapi.json")
	if err != nil { // it is part of the program
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	writeCompressed(w, r, applicationJSON, body)
}

// pageFuncs are what the template shows numbers with.
var pageFuncs = template.FuncMap{
	"count":     func(n int64) string { return grouped(uint64(max(n, 0))) },
	"ucount":    grouped,
	"rate":      func(r float64) string { return strings.TrimSuffix(strconv.FormatFloat(round3(r), 'f', -1, 64), ".0") },
	"bytes":     inBytes,
	"ubytes":    func(n uint64) string { return inBytes(float64(n)) },
	"ibytes":    func(n int64) string { return inBytes(float64(n)) },
	"percent":   func(part float64) string { return fmt.Sprintf("%.1f%%", 100*part) },
	"latency":   inWords,
	"ago":       func(seconds float64) string { return forHowLong(time.Duration(seconds * float64(time.Second))) },
	"since":     func(now, then time.Time) string { return forHowLong(now.Sub(then)) },
	"limit":     func(n int64) string { return orElse(strings.TrimPrefix(grouped(uint64(max(n, 0))), "0"), "∞") },
	"weight":    func(w float64) string { return strconv.FormatFloat(w, 'f', 1, 64) },
	"sum":       total,
	"worst":     worstOf,
	"list":      listOf,
	"statuses":  statuses,
	"quantiles": quantiles,
	"class":     classOf,
	"words":     wordsOf,
	"trouble":   func(s Server) bool { return s.State == ServerDown || s.Suspect },
	"slow":      func(s Server) bool { return s.EffectiveWeight < float64(s.Weight) },
	"failed":    func(c Check) bool { return c.Code != "" && !strings.HasSuffix(c.Code, "OK") },
	"address":   address,
	"addresses": addresses,
}

// round3 keeps three digits, or all before the point.
func round3(r float64) float64 {
	switch {
	case r >= 100:
		return float64(int64(r + 0.5))
	case r >= 10:
		return float64(int64(10*r+0.5)) / 10
	}
	return float64(int64(100*r+0.5)) / 100
}

// grouped is a number with its thousands apart.
func grouped(n uint64) string {
	text := strconv.FormatUint(n, 10)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "\u202f" + text[i:]
	}
	return text
}

// inBytes is an amount with its unit, in powers of 1000.
func inBytes(n float64) string {
	for _, unit := range []string{"B", "kB", "MB", "GB", "TB"} {
		if n < 999.5 || unit == "TB" {
			return strconv.FormatFloat(round3(n), 'f', -1, 64) + "\u202f" + unit
		}
		n /= 1000
	}
	return ""
}

// worstOf is the reason that counts most, "" where none does.
func worstOf(counters map[string]uint64) string {
	for _, reason := range ranked(counters) {
		return reason
	}
	return ""
}

// ranked are the reasons that count at all, the greatest first.
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

// listOf lists counters that are not 0, the greatest first.
func listOf(counters map[string]uint64) string {
	var parts []string
	for _, reason := range ranked(counters) {
		parts = append(parts, reason+"\u00a0"+grouped(counters[reason]))
	}
	return orElse(strings.Join(parts, ", "), "none")
}

// statuses are the answers by class, 1xx left aside.
func statuses(responses map[string]uint64) string {
	if total(responses) == 0 {
		return "–"
	}
	return fmt.Sprintf("%s, %s, %s, %s", grouped(responses["2xx"]), grouped(responses["3xx"]), grouped(responses["4xx"]), grouped(responses["5xx"]))
}

// quantiles are the 50th, 95th and 99th percentile in one unit.
func quantiles(l Latency) string {
	if l.Count == 0 {
		return "–"
	}
	factor, unit := 1000.0, "ms"
	if l.P99Seconds >= 1 {
		factor, unit = 1, "s"
	}
	show := func(v float64) string { return strconv.FormatFloat(round3(v*factor), 'f', -1, 64) }
	return fmt.Sprintf("%s, %s, %s\u202f%s", show(l.P50Seconds), show(l.P95Seconds), show(l.P99Seconds), unit)
}

// classOf is what decides the colour of a server.
func classOf(s Server) string {
	switch {
	case s.Admin != AdminReady:
		return string(s.Admin)
	case s.State != ServerDown && s.Suspect:
		return "suspect"
	}
	return string(s.State)
}

// wordsOf is a server's state in words.
func wordsOf(s Server) string {
	words := string(s.State)
	if s.Admin != AdminReady {
		words = string(s.Admin) + ", " + words
	}
	if s.Suspect && s.State != ServerDown {
		words += "?"
	}
	return words
}

// address is a server's first address.
func address(s Server) string {
	for _, endpoint := range []string{"tcp", "http", "ws", "sse"} {
		if found := s.Addresses[endpoint]; found != "" {
			return found
		}
	}
	return ""
}

// addresses are all of them.
func addresses(s Server) string {
	var parts []string
	for _, endpoint := range []string{"tcp", "http", "ws", "sse"} {
		if found := s.Addresses[endpoint]; found != "" {
			parts = append(parts, endpoint+" "+found)
		}
	}
	return strings.Join(parts, ", ")
}
