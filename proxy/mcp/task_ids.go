package mcp

import (
	"bytes"
	"encoding/base64"
	"unicode/utf8"
)

// TaskTag is a tag that TaskRewriter has put behind the id of a task: without the bytes
// from Start to End, the body has the id as its server knows it.
type TaskTag struct {
	Tag        Tag
	Start, End int
}

// AppendTaskTags appends the tags that the body of a request has behind the ids of
// tasks, in the order of the body: of params.taskId, and of each of
// params.notifications.taskIds, of one message or of each in a batch. Only the outermost
// tag of an id counts. It allocates only to let dst grow, and for ids with escapes.
func AppendTaskTags(dst []TaskTag, body []byte) []TaskTag {
	var s taskScanner
	for at := 0; at < len(body); {
		n, event := s.next(body[at:])
		at += n
		if event != taskIDEnds || s.place == taskResult {
			continue
		}
		if size, tag, ok := splitText(body[s.start:at]); ok {
			dst = append(dst, TaskTag{tag, s.start + size, at})
		}
	}
	return dst
}

// splitText is SplitTagged for the content of a text of JSON: size is how long the id
// is, as it is written.
func splitText(text []byte) (size int, t Tag, ok bool) {
	if id, t, ok := SplitTagged(text); ok {
		return len(id), t, true
	}
	if bytes.IndexByte(text, '\\') < 0 {
		return 0, t, false
	}
	plain, starts := unescape(text)
	id, t, ok := SplitTagged(plain)
	if !ok {
		return 0, t, false
	}
	return starts[len(id)], t, true
}

// unescape decodes the content of a text of JSON as far as SplitTagged needs it, and
// returns where each byte begins in text. What no tag has may be any such byte.
func unescape(text []byte) (plain []byte, starts []int) {
	for i := 0; i < len(text); {
		start, b := i, text[i]
		i++
		switch {
		case b != '\\':
		case i+4 < len(text) && text[i] == 'u':
			b = unitOf(text[i+1 : i+5])
			i += 5
		case i < len(text):
			i++ // none of the other escapes is of a byte that a tag has
		}
		plain, starts = append(plain, b), append(starts, start)
	}
	return plain, starts
}

// unitOf is the byte that \uXXXX stands for; what is not ASCII, or no escape, is none
// that a tag has.
func unitOf(digits []byte) byte {
	var unit uint16
	for _, b := range digits {
		digit, ok := hexDigit(b)
		if !ok {
			return 0
		}
		unit = unit<<4 | digit
	}
	if unit >= utf8.RuneSelf {
		return 0
	}
	return byte(unit)
}

// SplitTaskName takes the tag off the value of an Mcp-Name field that is a task's id, be
// it in the base64 form: name is the value without it, appended to dst. ok is false, and
// name is dst, where it has none.
func SplitTaskName(dst, value []byte) (name []byte, t Tag, ok bool) {
	id, t, ok := SplitTagged(value)
	if ok {
		return append(dst, id...), t, true
	}
	decoded, ok := AppendName(nil, value)
	if !ok {
		return dst, t, false
	}
	if id, t, ok = SplitTagged(decoded); !ok {
		return dst, t, false
	}
	dst = append(dst, base64Begin...)
	dst = base64.StdEncoding.AppendEncode(dst, id)
	return append(dst, base64End...), t, true
}
