package admin

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
)

// choice is what a user wants to see of the servers. The zero choice is all of them, in the
// order of the file.
type choice struct {
	Search   string // words that must all occur in a server's name, address, backend, state or reason
	Sort     string // the name of a sortOrder
	Problems bool   // only servers that need attention
}

// mostSearch limits a search, as drawings are held by it.
const mostSearch = 100

// choiceOf reads the query parameters q, sort and only. What it does not know counts as
// absent.
func choiceOf(r *http.Request) choice {
	query := r.URL.Query()
	c := choice{Search: strings.TrimSpace(query.Get("q")), Sort: sortOrders[0].Name, Problems: query.Get("only") == "problems"}
	if len(c.Search) > mostSearch {
		c.Search = strings.ToValidUTF8(c.Search[:mostSearch], "")
	}
	for _, order := range sortOrders {
		if order.Name == query.Get("sort") {
			c.Sort = order.Name
		}
	}
	return c
}

// Limits reports whether some servers may be left out.
func (c *choice) Limits() bool { return c.Search != "" || c.Problems }

// sortOrder is an order of the servers.
type sortOrder struct {
	Name, Title string
	compare     func(a, b *Server) int // nil = as in the file
}

// sortOrders are the orders, the default first. Numbers are sorted from the greatest.
var sortOrders = []sortOrder{
	{"file", "as in the file", nil},
	{"name", "by name", func(a, b *Server) int { return strings.Compare(a.Name, b.Name) }},
	{"state", "problems first", func(a, b *Server) int { return cmp.Compare(urgency(b), urgency(a)) }},
	{"connections", "by connections", func(a, b *Server) int { return cmp.Compare(b.Connections.Current, a.Connections.Current) }},
	{"messages", "by messages/s", func(a, b *Server) int { return cmp.Compare(b.Rates.Messages, a.Rates.Messages) }},
	{"latency", "by latency (p95)", func(a, b *Server) int { return cmp.Compare(b.RecentP95Seconds, a.RecentP95Seconds) }},
	{"errors", "by errors", func(a, b *Server) int { return cmp.Compare(b.ServerErrors(), a.ServerErrors()) }},
	{"downtime", "by downtime", func(a, b *Server) int { return cmp.Compare(b.DowntimeSeconds, a.DowntimeSeconds) }},
}

// urgency is higher the more a server needs attention.
func urgency(s *Server) int {
	switch {
	case s.problem() && s.State == ServerDown:
		return 5
	case s.problem() && s.Suspect:
		return 4
	case s.problem():
		return 3
	case s.Admin == AdminDrain, s.asksToDrain():
		return 2
	case s.Admin == AdminMaint:
		return 1
	}
	return 0
}

// servers returns the chosen servers of a backend in the chosen order.
func (c *choice) servers(b *Backend) []*Server {
	words := strings.Fields(strings.ToLower(c.Search))
	var chosen []*Server
	for i := range b.Servers {
		s := &b.Servers[i]
		if (!c.Problems || s.problem()) && matches(b, s, words) {
			chosen = append(chosen, s)
		}
	}
	for _, order := range sortOrders {
		if order.Name == c.Sort && order.compare != nil {
			slices.SortStableFunc(chosen, order.compare)
		}
	}
	return chosen
}

// matches reports whether every word occurs in what the page shows of a server.
func matches(b *Backend, s *Server, words []string) bool {
	if len(words) == 0 {
		return true
	}
	text := strings.ToLower(strings.Join([]string{b.Name + "/" + s.Name, addresses(s), wordsOf(s), s.Reason, s.AdminReason, s.DrainRequest, s.Check.Code}, "\n"))
	return !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(text, word) })
}
