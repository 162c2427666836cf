package http1

import (
	"strings"
	"testing"
)

func TestHeaderIDs(t *testing.T) {
	t.Parallel()
	if HeaderXForwardedOther >= 64 {
		t.Fatalf("%d names do not fit into a HeaderSet", NumHeaders)
	}
	hashes := map[uint64]HeaderID{}
	for id := HeaderOther + 1; id < NumHeaders; id++ {
		name := id.String()
		if name == "" || len(name) > maxName {
			t.Fatalf("HeaderID %d: name %q", id, name)
		}
		w := knownNames[id].lower
		h := hash(w[0], w[1], w[2])
		if other, taken := hashes[h]; taken {
			t.Errorf("%v and %v have the same hash: another factor is needed", id, other)
		}
		hashes[h] = id
		for _, written := range []string{name, strings.ToLower(name), strings.ToUpper(name)} {
			if got := HeaderOf([]byte(written)); got != id {
				t.Errorf("HeaderOf(%q) = %v", written, got)
			}
			checkKnownAt(t, written, id)
		}
	}
	if HeaderOf(nil) != HeaderOther || HeaderOf(make([]byte, 100)) != HeaderOther {
		t.Error("an invalid name has an id")
	}
}

// checkKnownAt looks up a name at the beginning of a field: with many and with
// few bytes after it, and with every byte of it changed.
func checkKnownAt(t *testing.T, written string, id HeaderID) {
	line := []byte("\r\n" + written + ": value")
	for len(line) < 2+maxName {
		line = append(line, 'x')
	}
	got, colon := knownAt(line, 2)
	// The colon of the longest name is beyond the bytes examined.
	if len(written) < maxName && (got != id || colon != 2+len(written)) || len(written) == maxName && got != HeaderOther {
		t.Errorf("knownAt %q: %v, colon at %d", line, got, colon)
	}
	if got, _ := knownAt(line[:1+maxName], 2); got != HeaderOther {
		t.Errorf("%q: known without enough bytes: %v", line, got)
	}
	// Names are compared padded with zeros.
	for zeros := 1; len(written)+zeros < maxName; zeros++ {
		padded := written + strings.Repeat("\x00", zeros)
		if got, _ := knownAt([]byte(padded+": value"+strings.Repeat("x", maxName)), 0); got != HeaderOther || headerID([]byte(padded)) != HeaderOther {
			t.Errorf("%q is taken for %v", padded, got)
		}
	}
	for i := range written {
		for _, bit := range []byte{0x01, 0x20, 0x40, 0x80} {
			line[2+i] ^= bit
			changed := string(line[2 : 2+len(written)])
			same := strings.EqualFold(changed, written) && changed[i] < 0x80
			if got, _ := knownAt(line, 2); got == id && !same {
				t.Errorf("knownAt %q: %v", line, got)
			}
			if got := HeaderOf([]byte(changed)); got == id && !same {
				t.Errorf("HeaderOf(%q) = %v", changed, got)
			}
			line[2+i] ^= bit
		}
	}
}

func TestLookalikeOf(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]HeaderID{
		"X_Forwarded_For": HeaderXForwardedFor, "x-forwarded_for": HeaderXForwardedFor, "CONTENT_LENGTH": HeaderContentLength,
		"X.Forwarded.For": HeaderXForwardedFor, "Content!Length": HeaderContentLength, "mcp.session~id": HeaderMcpSessionID, "X.Y": HeaderOther,
		"X-Forwarded-For": HeaderOther, "X_Other": HeaderOther, "_": HeaderOther, "Sec_WebSocket_Extensions": HeaderSecWebSocketExtensions,
		strings.Repeat("_", 100): HeaderOther,
	} {
		if got := lookalikeOf([]byte(name)); got != want {
			t.Errorf("lookalikeOf(%q) = %v, want %v", name, got, want)
		}
	}
}

func TestReasons(t *testing.T) {
	t.Parallel()
	words := map[string]bool{}
	for r := range NumReasons {
		if words[r.String()] || r.String() == "" || r.Text() == "" || StatusText(r.Status()) == "" {
			t.Errorf("reason %d: %q, %q, %d", r, r.String(), r.Text(), r.Status())
		}
		words[r.String()] = true
	}
	if r := NumReasons; r.Status() != 400 || r.String() != "unknown" || r.Text() == "" {
		t.Error("a reason beyond the last")
	}
}
