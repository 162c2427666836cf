package mcp

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// Only a real date from 2026-07-28 on is stateless: with any other value a client
// would lose its session to an odd header that it, or a proxy, sends.
func TestEraOf(t *testing.T) {
	t.Parallel()
	tests := []struct {
		version string
		want    Era
	}{
		{"", EraSession},
		{"2024-11-05", EraSession},
		{"2025-03-26", EraSession},
		{"2025-06-18", EraSession},
		{"2025-11-25", EraSession},
		{"2026-07-27", EraSession},
		{"0000-00-00", EraSession},
		{"2026-07-28", EraStateless},
		{"2026-07-29", EraStateless},
		{"2026-12-31", EraStateless},
		{"2027-01-01", EraStateless},
		{"2028-02-29", EraStateless},
		{"9999-12-31", EraStateless},
		{"9999-99-99", EraSession},
		{"2027-00-01", EraSession},
		{"2027-13-01", EraSession},
		{"2027-01-00", EraSession},
		{"2027-01-32", EraSession},
		{"2027-02-29", EraSession},
		{"2100-02-29", EraSession},
		{"2026-09-31", EraSession},
		{"DRAFT-2026-v1", EraSession},
		{"draft", EraSession},
		{`"2025-11-25"`, EraSession},
		{`"2026-07-28"`, EraSession},
		{"2025-11-25, 2025-11-25", EraSession},
		{"2026-07-28, 2026-07-28", EraSession},
		{"2026-07-28,", EraSession},
		{"2026-07-28;q=1", EraSession},
		{"2026-07-28T00:00:00Z", EraSession},
		{" 2026-07-28", EraSession},
		{"2026-07-28 ", EraSession},
		{"2026 07 28", EraSession},
		{"20260728", EraSession},
		{"+2026-07-28", EraSession},
		{"12026-07-28", EraSession},
		{"2026-7-28", EraSession},
		{"2026/07/28", EraSession},
		{"2026-07-2x", EraSession},
		{"2026-07-28\x00", EraSession},
		{"\xef\xbc\x92026-07-28", EraSession},
		{"1.0", EraSession},
		{"null", EraSession},
	}
	for _, test := range tests {
		if got := EraOf([]byte(test.version)); got != test.want {
			t.Errorf("EraOf(%q) = %v, want %v", test.version, got, test.want)
		}
	}
	if EraOf(nil) != EraSession || EraSession.String() != "session" || EraStateless.String() != "stateless" {
		t.Error("wrong names of eras")
	}
}

// isDate agrees with package time.
func FuzzIsDate(f *testing.F) {
	for _, date := range []string{"2026-07-28", "2024-02-29", "2100-02-29", "0000-00-00", "9999-99-99", "2026-7-28", "0000-01-01"} {
		f.Add([]byte(date))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		_, err := time.Parse(time.DateOnly, string(text))
		if got := isDate(text); got != (err == nil) {
			t.Fatalf("isDate(%q) = %v; package time says %v", text, got, err)
		}
	})
}

func TestMethodOf(t *testing.T) {
	t.Parallel()
	for m := MethodOther + 1; m < NumMethods; m++ {
		if got := MethodOf([]byte(m.String())); got != m {
			t.Errorf("MethodOf(%q) = %v", m.String(), got)
		}
		if len(m.String()) > maxMethodName || m.String() == "" || strings.Trim(m.String(), "abcdefghijklmnopqrstuvwxyz_/LCMS") != "" {
			t.Errorf("method %d has the name %q", m, m)
		}
	}
	for name, want := range map[string]Method{
		"": MethodNone, "none": MethodOther, "other": MethodOther, "tools/Call": MethodOther, "tools/call ": MethodOther,
		"tools/call": MethodToolsCall, "\xff": MethodOther, strings.Repeat("x", 1000): MethodOther,
	} {
		if got := MethodOf([]byte(name)); got != want {
			t.Errorf("MethodOf(%q) = %v, want %v", name, got, want)
		}
	}
	if NumMethods.String() != "other" || MethodNone.String() != "none" {
		t.Error("wrong names of MethodNone and MethodOther")
	}
}

// names are values of Mcp-Name headers with their meanings.
var names = []struct {
	value, want string
	ok          bool
}{
	{"", "", true},
	{"get_weather", "get_weather", true},
	{"file:///projects/config.json", "file:///projects/config.json", true},
	{"=?base64?SGVsbG8sIOS4lueVjA==?=", "Hello, 世界", true},
	{"=?base64?IHBhZGRlZCA=?=", " padded ", true},
	{"=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?=", "=?base64?literal?=", true},
	{"=?base64??=", "", true},
	{"=?base64?=", "=?base64?=", true}, // the delimiters must not overlap
	{"=?base64?SGVsbG8=", "=?base64?SGVsbG8=", true},
	{"SGVsbG8=?=", "SGVsbG8=?=", true},
	{"=?BASE64?SGVsbG8=?=", "=?BASE64?SGVsbG8=?=", true},
	{"=?base64?SGVs!!!bG8=?=", "", false},
	{"=?base64?SGVsbG8?=", "", false}, // no padding
	{"=?base64?/w==?=", "", false},    // not UTF-8
	{"=?base64?" + strings.Repeat("QUFB", 500) + "?=", strings.Repeat("AAA", 500), true},
	{"=?base64?" + strings.Repeat("QUFB", 600) + "?=", "", false},
}

func TestAppendName(t *testing.T) {
	t.Parallel()
	for _, name := range names {
		got, ok := AppendName([]byte("x"), []byte(name.value))
		if string(got) != "x"+name.want || ok != name.ok {
			t.Errorf("AppendName(%.40q) = %.40q, %v; want %.40q, %v", name.value, got, ok, name.want, name.ok)
		}
	}
}

func FuzzAppendName(f *testing.F) {
	for _, name := range names {
		f.Add([]byte(name.value))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		got, ok := AppendName([]byte("x"), value)
		if !bytes.HasPrefix(got, []byte("x")) || !ok && len(got) != 1 {
			t.Fatalf("AppendName(%q) = %q, %v", value, got, ok)
		}
		if encoded := base64Begin + base64.StdEncoding.EncodeToString(value) + base64End; len(encoded) <= maxName {
			got, ok := AppendName(nil, []byte(encoded))
			if ok != utf8.Valid(value) || ok && !bytes.Equal(got, value) {
				t.Fatalf("AppendName(%q) = %q, %v; want %q", encoded, got, ok, value)
			}
		}
	})
}

func TestErasAllocate(t *testing.T) {
	version, method := []byte("2026-07-28"), []byte("notifications/resources/list_changed")
	name := []byte("=?base64?SGVsbG8sIOS4lueVjA==?=")
	dst := make([]byte, 0, 64)
	n := testing.AllocsPerRun(100, func() {
		if EraOf(version) != EraStateless || MethodOf(method) == MethodTasksGet {
			t.Error("misread")
		}
		dst, _ = AppendName(dst[:0], name)
	})
	if n != 0 {
		t.Errorf("reading the headers allocates %v times, want 0", n)
	}
}

func BenchmarkEra(b *testing.B) {
	version, method := []byte("2026-07-28"), []byte("tools/call")
	b.ReportAllocs()
	for b.Loop() {
		if EraOf(version) != EraStateless || MethodOf(method) != MethodToolsCall {
			b.Fatal("misread")
		}
	}
}
