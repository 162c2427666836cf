package fleet

import (
	"cmp"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"time"
)

// Of what balancers say of themselves.
const (
	reportEvery   = time.Second
	reportLives   = 10 * time.Second // a balancer that says nothing for so long has gone
	longestReport = 2048             // bytes
)

// State is what a balancer does.
type State string

// The states.
const (
	Serving  State = "serving"
	Full     State = "full"     // at its maxconn: new clients wait
	Draining State = "draining" // it takes no new clients and will end
	Unknown  State = "unknown"  // of another version
)

// Report is what a balancer says of itself.
type Report struct {
	State       State     `json:"state"`
	Connections int64     `json:"connections"` // of clients
	Messages    uint64    `json:"messages"`    // counter
	Version     string    `json:"version"`
	Admin       string    `json:"admin"` // where its page is; "" = nowhere
	Started     time.Time `json:"started"`
}

// record is a report as Redis has it.
type record struct {
	Report
	PerSecond float64 `json:"messages_per_second"`
	Token     string  `json:"token"`
}

// Balancer is one balancer of the fleet.
type Balancer struct {
	Report
	Instance          string
	MessagesPerSecond float64
	Age               time.Duration // of the report
	Self              bool
}

// roster is the list of the fleet's balancers. It belongs to the goroutine that exchanges;
// what it shows goes through member.
type roster struct {
	instance string
	token    string // tells this one from another of the same instance
	report   func() Report

	nextAt   time.Time
	counted  time.Time // when messages was
	messages uint64
	doubles  int // reports in a row that another had overwritten
}

// conflicts is how many reports in a row another has to overwrite to be one that runs, and
// not the process before an upgrade.
const conflicts = 3

// own returns this balancer's record.
func (r *roster) own(now time.Time) record {
	report := r.report()
	one := record{Report: report, Token: r.token}
	if seconds := now.Sub(r.counted).Seconds(); !r.counted.IsZero() && seconds > 0 && report.Messages >= r.messages {
		one.PerSecond = float64(report.Messages-r.messages) / seconds
	}
	r.counted, r.messages = now, report.Messages
	return one
}

// exchange returns the call that writes this balancer's report and reads all.
func (r *roster) exchange(prefix string, now time.Time, took func(all []Balancer, conflict bool)) call {
	r.nextAt = now.Add(reportEvery)
	own := r.own(now)
	text, _ := json.Marshal(own) // of numbers and words: never fails
	return r.call(prefix, string(text), func(reply reply) error {
		list, err := reply.list(3)
		if err != nil {
			return err
		}
		all, err := list[2].list(0)
		if err != nil {
			return err
		}
		before := list[1].text()
		if r.doubles++; before == "" || strings.Contains(before, r.token) {
			r.doubles = 0
		}
		took(r.read(all, &own), r.doubles >= conflicts)
		return nil
	})
}

// leave returns the call that removes this balancer's report.
func (r *roster) leave(prefix string) call {
	return r.call(prefix, "", func(reply) error { return nil })
}

func (r *roster) call(prefix, report string, take func(reply) error) call {
	return call{rosterScript, rosterKeys(prefix), []any{r.instance, report, r.token, reportLives.Milliseconds(), mostBalancers, longestReport}, take}
}

// rosterKeys are the keys of the roster, of the types in rosterTypes.
func rosterKeys(prefix string) []string { return []string{prefix + ":reports", prefix + ":times"} }

var rosterTypes = []any{"hash", "zset"}

// read returns the balancers in the order of their names, from instance, report and age of
// each. What is no report is left out.
func (r *roster) read(list []reply, own *record) (all []Balancer) {
	for ; len(list) >= 3; list = list[3:] {
		var one record
		name, text := list[0].text(), list[1].text()
		if name == "" || name == r.instance || json.Unmarshal([]byte(text), &one) != nil {
			continue
		}
		age := time.Duration(max(list[2].number(), 0)) * time.Millisecond
		all = append(all, one.balancer(name, age))
	}
	self := own.balancer(r.instance, 0)
	self.Self = true
	all = append(all, self)
	slices.SortFunc(all, func(a, b Balancer) int { return cmp.Compare(a.Instance, b.Instance) })
	return all
}

// balancer returns what a record says, without what cannot be.
func (r *record) balancer(instance string, age time.Duration) Balancer {
	b := Balancer{Report: r.Report, Instance: printable(instance), MessagesPerSecond: r.PerSecond, Age: age}
	b.Version, b.Admin = printable(b.Version), printable(b.Admin)
	if b.State != Serving && b.State != Full && b.State != Draining {
		b.State = Unknown
	}
	if math.IsNaN(b.MessagesPerSecond) || b.MessagesPerSecond < 0 {
		b.MessagesPerSecond = 0
	}
	b.Connections = max(b.Connections, 0)
	return b
}

// printable returns text without what a terminal or a page could take for more than text.
func printable(text string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' {
			return -1
		}
		return c
	}, text[:min(len(text), 256)])
}
