package admin

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/klauspost/compress/gzip"
)

//go:embed web
var web embed.FS

// pagePolicy lets the page load its style and script and connect to its origin, and
// nothing else (Content Security Policy Level 3).
const pagePolicy = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// statsPage serves the page for people. It is rendered here; a small script keeps it
// up to date by fetching it again.
type statsPage struct {
	view    *view
	access  *Access
	control bool // there are runtime commands
	html    *template.Template
}

func newStatsPage(v *view, o *Options) *statsPage {
	return &statsPage{
		view: v, access: o.Access, control: o.Control != nil,
		html: template.Must(template.New("page.html").Funcs(pageFuncs).ParseFS(web, "web/page.html")),
	}
}

// page is the data of the template.
type page struct {
	S          *Snapshot
	Title      string
	May        bool // the client may use the commands
	NeedsToken bool // the client could, with the token
	Findings   []findingGroup
	Choice     choice
	Sorts      []sortOrder
	Backends   []pageBackend
	Plots      []timeline
	WithPlots  bool
	Latest     []Event // the latest first

	Certificates []pageCertificate
}

// pageCertificate is a certificate and its frontend.
type pageCertificate struct {
	Certificate
	Frontend string
	Soon     bool // it expires soon, or has expired
}

// certificatesOf returns the certificates of all frontends.
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

// pageBackend is a backend as the page shows it.
type pageBackend struct {
	B       *Backend
	Servers []*Server // those that were chosen, in the chosen order
	HTTP    bool      // some server speaks HTTP: there are classes of responses
	Total   *Server   // the sums over all servers, chosen or not
	distribution
}

// backendOf chooses the servers and computes the sums.
func backendOf(b *Backend, c *choice) pageBackend {
	shown := pageBackend{B: b, Servers: c.servers(b), distribution: distributionOf(b)}
	shown.Total = sumOf(b.Servers)
	shown.HTTP = len(shown.Total.Responses) > 0
	return shown
}

// sumOf returns the sums of servers.
func sumOf(servers []Server) *Server {
	all := &Server{Errors: map[string]uint64{}, Responses: map[string]uint64{}}
	for i := range servers {
		s := &servers[i]
		all.Connections.Current += s.Connections.Current
		all.Connections.Total += s.Connections.Total
		all.BytesIn, all.BytesOut = all.BytesIn+s.BytesIn, all.BytesOut+s.BytesOut
		all.Rates.add(s.Rates)
		addTo(all.Errors, s.Errors)
		addTo(all.Responses, s.Responses)
		all.Downs += s.Downs
		all.DowntimeSeconds += s.DowntimeSeconds
		all.Check.Checks += s.Check.Checks
		all.Check.Failures += s.Check.Failures
	}
	return all
}

// shownEvents is how many events the page lists.
const shownEvents = 30

// latestOf returns the latest events, the last one first.
func latestOf(events []Event) []Event {
	latest := slices.Clone(events[max(len(events)-shownEvents, 0):])
	slices.Reverse(latest)
	return latest
}

func addTo(sums, counters map[string]uint64) {
	for name, n := range counters {
		sums[name] += n
	}
}

// ServeHTTP implements http.Handler.
func (p *statsPage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s := p.view.snapshot()
	shown := page{
		S: &s, Title: title(&s), Certificates: certificatesOf(&s), Findings: s.Summary.groups,
		Choice: choiceOf(r), Sorts: sortOrders, WithPlots: p.view.history != nil,
	}
	shown.May, shown.NeedsToken = p.rights(r)
	for i := range s.Backends {
		shown.Backends = append(shown.Backends, backendOf(&s.Backends[i], &shown.Choice))
	}
	if shown.WithPlots && wantsPlots(r) {
		shown.Plots = timelinesOf(&s, p.view.history)
	}
	shown.Latest = latestOf(s.Events)
	var text bytes.Buffer
	if err := p.html.Execute(&text, &shown); err != nil {
		http.Error(w, "cannot render the page: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Security-Policy", pagePolicy)
	w.Header().Set("Vary", "Accept-Encoding, Authorization")
	writeCompressed(w, r, "text/html; charset=utf-8", text.Bytes())
}

// rights reports whether a client may use the commands, and whether it could with the token.
func (p *statsPage) rights(r *http.Request) (may, needsToken bool) {
	if !p.control {
		return false, false
	}
	no := p.access.mayCommand(r)
	return no == nil, no != nil && no.status == http.StatusUnauthorized
}

// key tells the page's variants apart.
func (p *statsPage) key(r *http.Request) string {
	may, needsToken := p.rights(r)
	c := choiceOf(r)
	return fmt.Sprintf("%v %v %v %v %s %v %q", may, needsToken, wantsPlots(r), acceptsGzip(r), c.Sort, c.Problems, c.Search)
}

func wantsPlots(r *http.Request) bool { return r.URL.Query().Get("plots") != "no" }

func acceptsGzip(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept-Encoding"), "gzip")
}

// title shows the level, so that it is visible in a background tab.
func title(s *Snapshot) string {
	if s.Summary.Level == Healthy {
		return "mcplb"
	}
	return fmt.Sprintf("%s · mcplb", s.Summary.Level)
}

// writeCompressed responds with body, compressed if the client accepts that and body
// is large: a browser fetches the page of 200 servers every two seconds.
func writeCompressed(w http.ResponseWriter, r *http.Request, contentType string, body []byte) {
	if len(body) > 16<<10 && acceptsGzip(r) {
		var small bytes.Buffer
		// These cannot fail: the level is valid, and small is in memory.
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
	if err != nil { // cannot happen: the file is part of the program
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	writeCompressed(w, r, applicationJSON, body)
}
