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

// document is a TOML document: its values, and the positions of its keys.
type document struct {
	values    map[string]any
	positions *positions
}

// readDocument reads text. The document is valid only if there is no error and its
// positions have no conflicts.
func readDocument(text string) (document, *syntaxError) {
	none := &positions{}
	if encoding := wrongEncoding(text); encoding != "" {
		return document{positions: none}, &syntaxError{notUTF8, 0, fmt.Sprintf("the file is %s: save it as UTF-8 (iconv -f %s -t UTF-8)", encoding, encoding)}
	}
	if offset := invalidUTF8(text); offset < len(text) {
		return document{positions: none}, &syntaxError{notUTF8, offset, cmp.Or(binaryHint(text), "save the file in that encoding")}
	}
	if strings.HasPrefix(text, byteOrderMark) { // which the library would skip, and the scanner not
		return document{positions: none}, &syntaxError{notTOML, 0, "there is a second byte order mark at the beginning"}
	}
	marks, wrong := scan(text)
	if wrong != nil {
		return document{positions: none}, wrong
	}
	values, meta, err := decodeTOML(text)
	if err != nil {
		return document{positions: locateSingly(text, marks)}, explainTOML(err)
	}
	d := document{values, locate(meta.Keys(), marks)}
	d.positions.fill("", values)
	return d, nil
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
