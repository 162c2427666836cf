package lb

import (
	"errors"
	"regexp/syntax"
	"slices"
	"strings"
)

// Match is one of the texts for which a regular expression stands.
type Match struct {
	Text  string
	Front bool // anything may stand before the text
	Back  bool // anything may stand behind it
}

// mostMatches bounds the texts of a regular expression.
const mostMatches = 64

// errInfinite is why a regular expression has no list of texts.
var errInfinite = errors.New("it stands for more texts than a list can have")

// Finite returns the texts for which a regular expression stands, if they are few: those of
// ^/(a|b)/ are /a/ and /b/, with anything behind them. fold says that it means their letters
// in any case.
func Finite(expression string) (all []Match, fold bool, err error) {
	tree, err := syntax.Parse(expression, syntax.Perl)
	if err != nil {
		return nil, false, errors.New("its grammar is not known")
	}
	pieces, err := expand(tree)
	if err != nil {
		return nil, false, err
	}
	for _, p := range pieces {
		fold = fold || p.fold
		m := Match{p.text, p.lead || !p.begins, p.tail || !p.ends}
		if p.text == "" && (p.lead || p.tail) {
			m.Front, m.Back = true, true
		}
		if !slices.Contains(all, m) {
			all = append(all, m)
		}
	}
	return all, fold, nil
}

// piece is a text for which a part of a regular expression stands: with ".*" before or
// behind it, and with the anchors "^" and "$".
type piece struct {
	text         string
	lead, tail   bool
	begins, ends bool
	fold         bool
}

func expand(tree *syntax.Regexp) ([]piece, error) {
	switch tree.Op {
	case syntax.OpEmptyMatch:
		return []piece{{}}, nil
	case syntax.OpLiteral:
		return []piece{{text: string(tree.Rune), fold: tree.Flags&syntax.FoldCase != 0}}, nil
	case syntax.OpCharClass:
		return expandClass(tree)
	case syntax.OpBeginText:
		return []piece{{begins: true}}, nil
	case syntax.OpEndText:
		return []piece{{ends: true}}, nil
	case syntax.OpCapture:
		return expand(tree.Sub[0])
	case syntax.OpQuest:
		all, err := expand(tree.Sub[0])
		return append(all, piece{}), err
	case syntax.OpStar:
		if op := tree.Sub[0].Op; op == syntax.OpAnyChar || op == syntax.OpAnyCharNotNL {
			return []piece{{lead: true, tail: true}}, nil
		}
	case syntax.OpAlternate:
		return expandAlternate(tree)
	case syntax.OpConcat:
		return expandConcat(tree)
	}
	return nil, errInfinite
}

// expandClass returns the characters of a class.
func expandClass(tree *syntax.Regexp) (all []piece, err error) {
	for i := 0; i+1 < len(tree.Rune); i += 2 {
		for r := tree.Rune[i]; r <= tree.Rune[i+1]; r++ {
			if all = append(all, piece{text: string(r)}); len(all) > mostMatches {
				return nil, errInfinite
			}
		}
	}
	return all, nil
}

func expandAlternate(tree *syntax.Regexp) (all []piece, err error) {
	for _, sub := range tree.Sub {
		some, err := expand(sub)
		if err != nil {
			return nil, err
		}
		if all = append(all, some...); len(all) > mostMatches {
			return nil, errInfinite
		}
	}
	return all, nil
}

func expandConcat(tree *syntax.Regexp) (all []piece, err error) {
	all = []piece{{}}
	for _, sub := range tree.Sub {
		behind, err := expand(sub)
		if err != nil {
			return nil, err
		}
		var joined []piece
		for _, a := range all {
			for _, b := range behind {
				p, possible, err := a.join(b)
				if err != nil {
					return nil, err
				}
				if possible {
					joined = append(joined, p)
				}
			}
		}
		if all = joined; len(all) > mostMatches {
			return nil, errInfinite
		}
	}
	return all, nil
}

// join returns the piece for one with another behind it. possible is false if no text is
// such, as behind an end.
func (p piece) join(b piece) (joined piece, possible bool, err error) {
	rest := b.text == "" && (b.lead || b.tail)
	switch {
	case p.ends && b.text != "", b.begins && p.text != "":
		return p, false, nil
	case b.begins && p.lead, p.tail && p.text != "" && b.text != "", b.lead && b.text != "" && p.text != "":
		return p, false, errInfinite
	}
	joined = piece{text: p.text + b.text, lead: p.lead, tail: p.tail, begins: p.begins || b.begins, ends: p.ends || b.ends, fold: p.fold || b.fold}
	switch {
	case rest && p.text != "":
		joined.tail = !p.ends
	case rest:
		joined.lead = true
	case b.text != "":
		joined.lead, joined.tail = p.lead || b.lead, b.tail
	}
	return joined, true, nil
}

// WithoutPort takes a part for any port off the end of a regular expression for hosts, which
// mcplb compares without it.
func WithoutPort(expression string) string {
	for _, port := range []string{`(:[0-9]+)?$`, `(?::[0-9]+)?$`, `(:\d+)?$`, `(?::\d+)?$`, `(:.*)?$`, `(:.+)?$`, `:?[0-9]*$`} {
		if text, ok := strings.CutSuffix(expression, port); ok {
			return text + "$"
		}
	}
	return expression
}

// FiniteHosts returns the hosts and domains (*.example.com) for which a regular expression
// stands.
func FiniteHosts(expression string) (hosts []string, err error) {
	all, _, err := Finite(WithoutPort(expression))
	for _, m := range all {
		host := strings.ToLower(m.Text)
		switch name, isDomain := strings.CutPrefix(host, "."); {
		case m.Back || name == "":
			err = errors.New("mcplb compares complete hosts, or domains (*.example.com)")
		case m.Front && isDomain:
			host = "*" + host
		case m.Front:
			err = errors.New("anything may stand before " + host + ", and mcplb compares complete hosts, or domains (*.example.com)")
		}
		hosts = append(hosts, host)
	}
	return hosts, err
}

// Path is a path for which a regular expression stands.
type Path struct {
	Text  string
	Reach Reach
}

// Reach says what a Path stands for beside itself.
type Reach int

// What a Path stands for: what begins with its text, what is below it by whole segments, or
// itself alone.
const (
	Beginning Reach = iota
	Segments
	Exact
)

// FinitePaths returns the paths for which a regular expression stands. fold says that it
// means their letters in any case.
func FinitePaths(expression string) (paths []Path, fold bool, err error) {
	all, fold, err := Finite(expression)
	if err != nil {
		return nil, false, err
	}
	for _, m := range all {
		switch {
		case m.Front || !strings.HasPrefix(m.Text, "/"):
			return nil, false, errors.New("mcplb compares complete paths, or their beginnings")
		case m.Back:
			paths = append(paths, Path{m.Text, Beginning})
		default:
			paths = append(paths, Path{m.Text, Exact})
		}
	}
	return joined(paths), fold, nil
}

// joined returns paths of which none needs another: what is /a or begins with /a/ is /a by
// whole segments, and what is /a or /a/ is /a.
func joined(paths []Path) (some []Path) {
	for _, p := range paths {
		bare := strings.TrimRight(p.Text, "/")
		below := slices.Contains(paths, Path{bare + "/", Beginning})
		isBare := slices.Contains(paths, Path{bare, Exact})
		switch {
		case bare == "":
		case below && isBare:
			p = Path{bare, Segments}
		case p.Reach == Exact && isBare:
			p.Text = bare
		}
		if !slices.Contains(some, p) {
			some = append(some, p)
		}
	}
	return some
}
