package admin

import (
	"fmt"
	"slices"
	"strings"
)

// kind is what findings have in common that the page shows as one.
type kind string

// The kinds, by the condition.
const (
	kindNoServer kind = "no server"
	kindDown     kind = "down"
	kindSuspect  kind = "suspect"
	kindFull     kind = "full"
	kindSlow     kind = "slow"
	kindNotReady kind = "not ready"
	kindDrains   kind = "asks to drain"
	kindQueueing kind = "queueing"
	kindRefusing kind = "refusing"
	kindExpired  kind = "expired"
	kindExpiring kind = "expiring"
	kindStale    kind = "stale"
	kindLimits   kind = "limits"
	kindName     kind = "name"
)

// together describes several findings of a kind; %d is their number.
var together = map[kind]string{
	kindNoServer: "%d backends have no usable server",
	kindDown:     "%d servers are down",
	kindSuspect:  "%d servers do not answer their checks in time",
	kindFull:     "%d servers are full",
	kindSlow:     "%d servers are slow",
	kindNotReady: "%d servers are in drain or maintenance",
	kindDrains:   "%d servers ask to be drained",
	kindQueueing: "clients wait for slots of %d backends",
	kindRefusing: "%d frontends turn clients away",
	kindExpired:  "%d certificates have expired",
	kindExpiring: "%d certificates expire soon",
	kindStale:    "%d revocation lists are out of date",
	kindName:     "%d servers keep addresses whose names do not resolve",
	kindLimits:   "the limits delay or refuse clients: %d findings",
}

// findingGroup is one finding, or several of one kind and level.
type findingGroup struct {
	Level  Level
	Text   string
	Advice string    // of the only one; "" if there are several
	More   []Finding // the findings, if there are several
}

// Most that a group shows: names in its text, and findings in its list.
const (
	groupNames    = 3
	groupFindings = 100
)

// grouping collapses findings of one kind and level into groups, in the order of their
// first ones.
func grouping(findings []Finding) []findingGroup {
	type key struct {
		about kind
		level Level
	}
	members := map[key][]Finding{}
	var order []key
	for _, f := range findings {
		k := key{f.about, f.Level}
		if f.about == "" {
			k.about = kind("\x00" + f.Text) // a group of its own
		}
		if members[k] == nil {
			order = append(order, k)
		}
		members[k] = append(members[k], f)
	}
	groups := make([]findingGroup, 0, len(order))
	for _, k := range order {
		groups = append(groups, groupOf(members[k]))
	}
	return groups
}

// groupOf makes a group of findings of one kind and level.
func groupOf(findings []Finding) findingGroup {
	first := &findings[0]
	if len(findings) == 1 {
		return findingGroup{Level: first.Level, Text: first.Text, Advice: first.Advice}
	}
	g := findingGroup{Level: first.Level, More: findings[:min(len(findings), groupFindings)]}
	g.Text = fmt.Sprintf(together[first.about], len(findings))
	if first.about == kindNoServer { // their names are sentences
		return g
	}
	var names []string
	for i := range findings {
		if !slices.Contains(names, findings[i].name) {
			names = append(names, findings[i].name)
		}
	}
	if more := len(names) - groupNames; more > 0 {
		names = append(names[:groupNames], fmt.Sprintf("%d more", more))
	}
	last := len(names) - 1
	if last > 0 {
		g.Text += ": " + strings.Join(names[:last], ", ") + " and " + names[last]
	} else {
		g.Text += ": " + names[0]
	}
	return g
}
