package conf

import (
	"cmp"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/BurntSushi/toml"
)

// byteOrderMark may precede a document in UTF-8.
const byteOrderMark = "\ufeff"

// document is a TOML document: its values, and its keys in their order with the places
// that name them.
type document struct {
	values map[string]any
	keys   []toml.Key
	marks  []mark
}

// readDocument reads text. On an error only the marks may be there.
func readDocument(text string) (document, *syntaxError) {
	if encoding := wrongEncoding(text); encoding != "" {
		return document{}, &syntaxError{notUTF8, 0, fmt.Sprintf("the file is %s: save it as UTF-8 (iconv -f %s -t UTF-8)", encoding, encoding)}
	}
	if offset := invalidUTF8(text); offset < len(text) {
		return document{}, &syntaxError{notUTF8, offset, cmp.Or(binaryHint(text), "save the file in that encoding")}
	}
	if strings.HasPrefix(text, byteOrderMark) { // which the library would skip, and the scanner not
		return document{}, &syntaxError{notTOML, 0, "there is a second byte order mark at the beginning"}
	}
	marks, wrong := scan(text)
	if wrong != nil {
		return document{}, wrong
	}
	values, meta, err := decodeTOML(text)
	if err != nil {
		return document{marks: marks}, explainTOML(err)
	}
	return document{values, meta.Keys(), marks}, nil
}

// readDocuments reads the texts of files as one document. It reports what is wrong with
// each of them, and what is in two of them. The values are valid only without mistakes.
func (d *decoder) readDocuments(files []File) (values map[string]any) {
	l := newLocator(0)
	for i, file := range files {
		text := strings.TrimPrefix(string(file.Text), byteOrderMark)
		read, err := readDocument(text)
		if err != nil {
			d.unreadable(i, text, read.marks, err)
			continue
		}
		l.addDocument(i, read.keys, read.marks)
		values = l.merge("", values, read.values)
	}
	d.positions = &l.positions
	d.reportConflicts(l.positions.conflicts)
	if len(d.mistakes) == 0 {
		d.positions.fill("", values)
	}
	return values
}

// unreadable reports why a file is not valid: what it defines twice, or else the error.
func (d *decoder) unreadable(file int, text string, marks []mark, err *syntaxError) {
	l := newLocator(len(marks))
	l.file = file
	l.addSingly(text, marks)
	d.reportConflicts(l.positions.conflicts)
	if len(l.positions.conflicts) == 0 { // the library reports the first one as an error, too
		line, reason := err.in(text)
		d.mistakes = append(d.mistakes, Error{d.files[file], line, err.title, reason})
	}
}

func (d *decoder) reportConflicts(conflicts []conflict) {
	for _, c := range conflicts {
		where := fmt.Sprintf("in line %d", c.first.line)
		if c.first.file != c.second.file {
			where = fmt.Sprintf("in %s:%d", d.files[c.first.file], c.first.line)
		}
		d.mistakes = append(d.mistakes, Error{d.files[c.second.file], c.second.line, c.path, fmt.Sprintf("is defined %s already: %s", where, c.remedy)})
	}
}

// decodeTOML is toml.Decode, with an error instead of the panics that report bugs
// in the library: a reload must not end the process.
func decodeTOML(text string) (values map[string]any, meta toml.MetaData, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("bug in the TOML library: %v", fault)
		}
	}()
	meta, err = toml.Decode(text, &values)
	return values, meta, err
}

// invalidUTF8 returns the offset of the first byte of text that is not UTF-8,
// or the length of text.
func invalidUTF8(text string) int {
	for i, r := range text {
		if r == utf8.RuneError && !strings.HasPrefix(text[i:], string(utf8.RuneError)) {
			return i
		}
	}
	return len(text)
}

// elements returns the elements of a list, or of an array of tables, as the
// library decodes them.
func elements(raw any) ([]any, bool) {
	switch list := raw.(type) {
	case []any:
		return list, true
	case []map[string]any:
		all := make([]any, len(list))
		for i, table := range list {
			all[i] = table
		}
		return all, true
	}
	return nil, false
}
