package documents

import (
	"maps"
	"slices"
	"testing"
)

const sample = "# The `first` [one](a.md)\n\nSee [it](b.md#there), `[not](c.md)` and [`code`](d.md).\n\n<!-- run -->\n```console\n" +
	"$ cat << END\n> a\n> END\na\n$ true\n```\n\n# Twice\n## Twice\n\n<!-- gone -->\ntext\n\n- item\n\n  ```\n  [no link](e.md)\n  # no heading\n  ```\n"

func TestParse(t *testing.T) {
	t.Parallel()
	d := parse("x.md", sample)
	if got, want := d.Links(), []Link{{1, "a.md"}, {3, "b.md#there"}, {3, "d.md"}}; !slices.Equal(got, want) {
		t.Errorf("links %v, want %v", got, want)
	}
	if got, want := slices.Sorted(maps.Keys(d.Anchors())), []string{"the-first-one", "twice", "twice-1"}; !slices.Equal(got, want) {
		t.Errorf("anchors %q, want %q", got, want)
	}
	want := []Block{
		{Line: 7, Language: "console", Mark: "run", Text: "$ cat << END\n> a\n> END\na\n$ true\n"},
		{Line: 23, Text: "[no link](e.md)\n# no heading\n"},
	}
	if !slices.Equal(d.Blocks, want) {
		t.Errorf("blocks %+v, want %+v", d.Blocks, want)
	}
	commands := []Command{{7, "cat << END\na\nEND", "a\n"}, {11, "true", ""}}
	if got := d.Blocks[0].Commands(); !slices.Equal(got, commands) {
		t.Errorf("commands %+v, want %+v", got, commands)
	}
}

func TestMatches(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		shown, output string
		want          bool
	}{
		{"", "", true},
		{"", "x\n", false},
		{"a b\n", "a    b  \n\n", true},
		{"a...d\n", "abcd\n", true},
		{"a...d\n", "abc\nd\n", false},
		{"...\nb\n...\n", "a\nb\n", true},
		{"...\nb\n...\n", "b\nc\nd\n", true},
		{"...\nb\n", "b\nc\n", false},
		{"a.c\n", "abc\n", false},
		{"a\n...\n", "", false},
	} {
		if got := Matches(test.shown, test.output); got != test.want {
			t.Errorf("%q matches %q: %v, want %v", test.shown, test.output, got, test.want)
		}
	}
}

func TestFollow(t *testing.T) {
	t.Parallel()
	d := parse("../../docs/x.md", "# Here\n")
	for target, want := range map[string]string{
		"https://example.com/#x": "", "mailto:x@example.com": "", "#here": "", "tls.md": "", "tls.md#certificates": "", "../examples": "", "../README.md#install": "",
		"#there": "no such heading", "none.md": "no such file", "none.md#a": "no such file", "tls.md#none": "no such heading", "docs/tls.md": "no such file",
	} {
		if got := d.follow(target); got != want {
			t.Errorf("following %q: %q, want %q", target, got, want)
		}
	}
}
