package documents

import (
	"fmt"
	"os"
	"regexp"
	"strings"
)

// Document is a Markdown file.
type Document struct {
	Path   string
	Blocks []Block

	prose []line // all but the blocks
}

// line is a line of a file.
type line struct {
	number int // from 1
	text   string
}

// Block is a fenced block of code.
type Block struct {
	Line     int    // of its first line of text
	Language string // "" = none
	Mark     string // the text of the comment before it; "" = none
	Text     string
}

// Link is the target of a link or an image.
type Link struct {
	Line   int
	Target string
}

// Read reads a document.
func Read(path string) (*Document, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading a document: %w", err)
	}
	return parse(path, string(text)), nil
}

var (
	fence   = regexp.MustCompile("^( *)```([a-z]*)$")
	comment = regexp.MustCompile(`^ *<!-- (.*) -->$`)
)

// parse separates blocks from prose.
func parse(path, text string) *Document {
	d := &Document{Path: path}
	mark, indent := "", ""
	var open *Block
	for i, text := range strings.Split(text, "\n") {
		match := fence.FindStringSubmatch(text)
		switch {
		case open != nil && match != nil:
			d.Blocks = append(d.Blocks, *open)
			open, mark = nil, ""
		case open != nil:
			open.Text += strings.TrimPrefix(text, indent) + "\n"
		case match != nil:
			indent, open = match[1], &Block{Line: i + 2, Language: match[2], Mark: mark}
		default:
			d.prose = append(d.prose, line{i + 1, text})
			mark = markOf(text)
		}
	}
	return d
}

// markOf is the text of a comment that is a complete line.
func markOf(text string) string {
	if match := comment.FindStringSubmatch(text); match != nil {
		return match[1]
	}
	return ""
}

var (
	codeSpan = regexp.MustCompile("`[^`]*`")
	link     = regexp.MustCompile(`\[[^\]]*\]\(([^()\s]+)\)`)
)

// Links returns the links of the prose, in their order.
func (d *Document) Links() (found []Link) {
	for _, l := range d.prose {
		for _, match := range link.FindAllStringSubmatch(codeSpan.ReplaceAllString(l.text, ""), -1) {
			found = append(found, Link{l.number, match[1]})
		}
	}
	return found
}

var heading = regexp.MustCompile(`^#+ +(.*?) *#*$`)

// Anchors returns the anchors that GitHub gives to the headings.
func (d *Document) Anchors() map[string]bool {
	found := map[string]bool{}
	for _, l := range d.prose {
		match := heading.FindStringSubmatch(l.text)
		if match == nil {
			continue
		}
		anchor := slug(match[1])
		for n := 1; found[anchor]; n++ {
			anchor = fmt.Sprintf("%s-%d", slug(match[1]), n)
		}
		found[anchor] = true
	}
	return found
}

var (
	linked    = regexp.MustCompile(`\[([^\]]*)\]\([^()\s]+\)`)
	unslugged = regexp.MustCompile(`[^\p{L}\p{N}\-_ ]`)
)

// slug is the anchor of a heading.
func slug(text string) string {
	text = linked.ReplaceAllString(text, "$1")
	return strings.ReplaceAll(unslugged.ReplaceAllString(strings.ToLower(text), ""), " ", "-")
}
