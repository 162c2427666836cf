package lb

import (
	"fmt"
	"slices"
	"strings"
)

// Outcome is what has become of a directive.
type Outcome int

// The outcomes. Of several that are said of one directive, the last in this order
// holds.
const (
	Unknown    Outcome = iota // nothing was said: counts as Impossible
	Unneeded                  // mcplb does it by itself, or it means nothing there
	Translated                // mcplb does the same
	Different                 // mcplb does much the same; the notes say what differs
	Impossible                // mcplb cannot do it
)

func (o Outcome) String() string {
	return [...]string{"not possible", "not needed", "translated", "translated, differs", "not possible"}[o]
}

// Place is where a directive stands.
type Place struct {
	File string
	Line int // from 1
}

func (p Place) String() string { return fmt.Sprintf("%s:%d", p.File, p.Line) }

// Directive is one directive of the original, and what has become of it. Its zero
// value is a directive about which nothing has been said.
type Directive struct {
	Place
	Section string // in which it stands, such as "frontend web"
	Text    string // as it was written, with single spaces

	outcome Outcome
	notes   []string
	opens   bool
}

// Outcome returns what has become of the directive.
func (d *Directive) Outcome() Outcome {
	if d.outcome == Unknown {
		return Impossible
	}
	return d.outcome
}

// Unsaid reports whether nothing has been said about the directive.
func (d *Directive) Unsaid() bool { return d.outcome == Unknown }

// Note returns what there is to say of the outcome, or "".
func (d *Directive) Note() string {
	if d.outcome == Unknown {
		return "mcplb has no counterpart"
	}
	return strings.Join(d.notes, "; ")
}

// Translated says that mcplb does the same.
func (d *Directive) Translated() { d.become(Translated, "") }

// Unneeded says that the directive needs no counterpart, and why.
func (d *Directive) Unneeded(why string) { d.become(Unneeded, why) }

// Impossible says that mcplb cannot do it, and what could be done instead.
func (d *Directive) Impossible(format string, args ...any) {
	d.become(Impossible, fmt.Sprintf(format, args...))
}

// Opened says that mcplb cannot do it, and that requests which the directive refuses reach
// servers therefore.
func (d *Directive) Opened(format string, args ...any) {
	d.Impossible(format, args...)
	if d != nil {
		d.opens = true
	}
}

// Opens reports whether requests that the directive refuses reach servers.
func (d *Directive) Opens() bool { return d.opens }

// become notes an outcome unless a later one in the order of outcomes is noted.
func (d *Directive) become(outcome Outcome, note string) {
	if d == nil || outcome < d.outcome {
		return
	}
	if outcome > d.outcome && (outcome == Impossible || d.outcome == Unneeded) {
		d.notes = nil
	}
	d.outcome = outcome
	if note != "" && !slices.Contains(d.notes, note) {
		d.notes = append(d.notes, note)
	}
}
