package accesslog

import (
	"encoding/json"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"mcplb/internal/golden"
	"mcplb/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// someday is a time at which the loops' clock is at one hour.
func someday() *stamp {
	return &stamp{wall: time.Date(2026, 11, 22, 1, 2, 3, 456e6, time.UTC), mono: int64(time.Hour)}
}

// session is a successful connection of mode mcp.
func session() Record {
	return Record{
		Client: netip.MustParseAddrPort("192.0.2.7:53122"), Frontend: "mcp", Backend: "nodes", Server: "node2",
		Began: int64(time.Hour), Ended: int64(time.Hour + 5023*time.Millisecond),
		Request: None, Queue: None, Connect: 312 * time.Microsecond, Response: 1210 * time.Microsecond,
		BytesIn: 412, BytesOut: 903, MessagesIn: 3, MessagesOut: 2,
		Reason: "client_closed", Phase: PhaseData, FrontendConns: 12, ServerConns: 3,
	}
}

// exchange is a successful request.
func exchange() Record {
	r := session()
	r.Frontend, r.TLS, r.Request, r.Queue = "http", "1.3", 0, 1500*time.Microsecond
	r.Status, r.Era, r.Call, r.Reason, r.MessagesIn, r.MessagesOut = 200, "stateless", "tools/call", "completed", 0, 0
	r.SetTarget([]byte("POST"), []byte("/mcp"))
	return r
}

// records are the records of the lines in the golden files.
func records() []Record {
	refused := Record{
		Client: netip.MustParseAddrPort("[2001:db8::1]:9"), Frontend: "mcp", Backend: "nodes",
		Began: int64(time.Hour - time.Millisecond), Ended: int64(time.Hour),
		Request: None, Queue: None, Connect: None, Response: None,
		Reason: "banned", Phase: PhaseAdmission, FrontendConns: 1,
	}
	malformed := refused
	malformed.Frontend, malformed.Backend, malformed.Status = "http", "", 400
	malformed.Reason, malformed.Detail, malformed.Phase = "bad_request", "bare_lf", PhaseRequest
	retried := exchange()
	retried.Identified([]byte("0af7651916cd43dd8448eb211c80319c"))
	retried.Retries, retried.Status, retried.Reason, retried.Phase = 3, 503, "connect_failed", PhaseConnect
	retried.Connect, retried.Response = None, None
	long := exchange()
	long.SetTarget([]byte("GET"), []byte("/"+strings.Repeat("a", 300)))
	odd := exchange()
	odd.Frontend = `a "quoted" näme = 1`
	odd.SetTarget([]byte("GET"), []byte("/a b\n\x1b[31m\xff\u202e\\\U0001F600\U000E0001"))
	return []Record{session(), exchange(), refused, malformed, retried, long, odd, {}}
}

func TestFormat(t *testing.T) {
	t.Parallel()
	var text, jsonText []byte
	for _, r := range records() {
		text = appendText(text, &r, someday())
		jsonText = appendJSON(jsonText, &r, someday())
	}
	golden.Compare(t, "text.log", string(text))
	golden.Compare(t, "json.log", string(jsonText))
}

func TestPhases(t *testing.T) {
	t.Parallel()
	for p := PhaseNone + 1; p < phases; p++ {
		if p.String() == "" {
			t.Errorf("phase %d has no name", p)
		}
	}
	if PhaseNone.String() != "" || phases.String() != "" {
		t.Error("an invalid phase has a name")
	}
}

// pair matches one key=value of the text form.
var pair = regexp.MustCompile(`^([a-z_]+)=([!#-<>-\[\]-~]+|"(?:[^"\\[:cntrl:]]|\\.)*")(?: |$)`)

// checkLine checks that text is one line of key=value pairs and nothing else,
// and returns the number of pairs.
func checkLine(t *testing.T, text string) int {
	t.Helper()
	rest, ended := strings.CutSuffix(text, "\n")
	if !ended || !utf8.ValidString(rest) || strings.ContainsFunc(rest, func(c rune) bool { return c < ' ' || c == 0x7f || c == 0x2028 }) {
		t.Fatalf("not a line of text: %q", text)
	}
	n := 0
	for ; rest != ""; n++ {
		found := pair.FindString(rest)
		if found == "" {
			t.Fatalf("no pair at %q in %q", rest, text)
		}
		rest = rest[len(found):]
	}
	return n
}

// FuzzFormat checks that whatever a client sends results in one line with the
// same keys.
func FuzzFormat(f *testing.F) {
	for _, r := range records() {
		f.Add(string(r.Method()), string(r.Path()), r.Frontend)
	}
	f.Add("GET\nreason=completed", "/\" reason=x", "\xc3\x28\u2028")
	f.Fuzz(func(t *testing.T, method, path, name string) {
		plain := exchange()
		want := checkLine(t, string(appendText(nil, &plain, someday())))
		r := exchange()
		r.Server = name
		r.SetTarget([]byte(method), []byte(path))
		for _, empty := range []bool{name == "", method == "", path == ""} {
			if empty {
				want--
			}
		}
		if got := checkLine(t, string(appendText(nil, &r, someday()))); got != want {
			t.Errorf("%d pairs, want %d", got, want)
		}
		line := appendJSON(nil, &r, someday())
		checkJSON(t, line, want)
	})
}

func checkJSON(t *testing.T, line []byte, want int) {
	t.Helper()
	if strings.Count(string(line), "\n") != 1 || line[len(line)-1] != '\n' || !utf8.Valid(line) {
		t.Errorf("not one line: %q", line)
	}
	var members map[string]any
	if err := json.Unmarshal(line, &members); err != nil || len(members) != want {
		t.Errorf("%d members, want %d: %v in %q", len(members), want, err, line)
	}
}

// TestJSONString checks that a JSON string decodes to its value, as far as that
// is text.
func TestJSONString(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "/mcp", "a\"b\\c\n\t\x00\x7f", "näme \u2028 \u202e \U0001F600 \U000E0001"} {
		var got string
		if err := json.Unmarshal(appendJSONString(nil, text), &got); err != nil || got != text {
			t.Errorf("%q became %q: %v", text, got, err)
		}
	}
	if got := string(appendJSONString(nil, "\xff\u200b")); got != `"\ufffd\u200b"` {
		t.Errorf("%s", got)
	}
}

// TestStamp checks times around the ends of seconds and years, forwards and
// backwards.
func TestStamp(t *testing.T) {
	t.Parallel()
	s := &stamp{wall: time.Date(2026, 12, 31, 23, 59, 59, 999e6, time.UTC), mono: 5}
	for at, want := range map[int64]string{
		5:               "2026-12-31T23:59:59.999Z",
		5 + 1e6:         "2027-01-01T00:00:00.000Z",
		5 - 999e6:       "2026-12-31T23:59:59.000Z",
		5 - 1000e6:      "2026-12-31T23:59:58.999Z",
		5 + 12*3600e9:   "2027-01-01T11:59:59.999Z",
		5 - 365*86400e9: "2025-12-31T23:59:59.999Z",
	} {
		if got := string(s.append(nil, at)); got != want {
			t.Errorf("%d is %s, want %s", at, got, want)
		}
	}
	s.set(time.Unix(0, 0), 0)
	if got := string(s.append([]byte("x"), 1500e6)); got != "x1970-01-01T00:00:01.500Z" {
		t.Errorf("%s", got)
	}
}
