package proxy

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"mcplb/internal/endpoint"
)

func TestServesAllFrontends(t *testing.T) {
	t.Parallel()
	s := endpoint.Serve(t, endpoint.Echo)
	r := start(t, frontendText("bytes", anyPort, "tcp", "b")+
		frontendText("lines", "127.0.0.2:0", "mcp", "b")+
		frontendText("both", "[::1]:0", "mcp", "b")+
		backendText("b", []string{s.Address}))
	for _, frontend := range []string{"bytes", "lines", "both"} {
		c := dial(t, r.address(frontend))
		if answer := c.Ask("hello"); answer != "hello" {
			t.Errorf("frontend %s answers %q", frontend, answer)
		}
		c.Close()
		r.ended(frontend, "client_closed", 1)
	}
}

// A failed start names everything that is wrong, and leaves nothing open (the
// descriptors are counted when all tests have run).
func TestStartFails(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", anyPort)
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	address := taken.Addr().String()
	const backend = "[backend.b]\n[[backend.b.server]]\nname = \"s\"\n"
	good := backend + "tcp = \"127.0.0.1:1\"\n"
	tests := []struct {
		name, text string
		limit      int
		want       []string
	}{
		{"port taken", frontendText("f", address, "tcp", "b") + good, 1000,
			[]string{"frontend f: listening on " + address + ": address already in use", "ss -ltnp"}},
		{"one of three", frontendText("f", anyPort, "tcp", "b") + frontendText("g", address, "tcp", "b") + frontendText("h", "127.0.0.3:0", "mcp", "b") + good, 1000,
			[]string{"frontend g: listening on " + address}},
		{"two of three", frontendText("f", anyPort, "tcp", "b") + frontendText("g", address, "tcp", "b") + frontendText("h", "198.51.100.1:80", "mcp", "b") + good, 1000,
			[]string{"frontend g: listening on " + address, "frontend h: listening on 198.51.100.1:80: cannot assign requested address", "no interface"}},
		{"no descriptors", frontendText("f", anyPort, "tcp", "b") + good, 30,
			[]string{"open-files limit is 30", "raise it to "}},
		{"too many clients", "[global]\nmaxconn = 5000\n" + frontendText("f", anyPort, "tcp", "b") + good, 1024,
			[]string{"global.maxconn = 5000 needs an open-files limit of 10", ", and it is 1024", "lower maxconn to 4"}},
	}
	for _, test := range tests {
		o := options()
		o.FileLimit = test.limit
		p, err := Start(parse(t, test.text), o)
		if test.name != "one of three" && test.name != "two of three" && test.name != "port taken" {
			if checked := Check(parse(t, test.text), test.limit); checked == nil || checked.Error() != err.Error() {
				t.Errorf("%s: -t says %v, and the start %v", test.name, checked, err)
			}
		}
		if err == nil {
			t.Errorf("%s: it starts", test.name)
			_ = p.Stop(t.Context())
			continue
		}
		for _, want := range test.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: the error is %q, want %q in it", test.name, err, want)
			}
		}
	}
}

// TestMaxConnections checks how many clients are promised for a limit of open files.
// If it reserves too much, clients are shut out for nothing; if too little, clients
// that were promised a place find no descriptor.
func TestMaxConnections(t *testing.T) {
	t.Parallel()
	const fixed = processFiles + 2*filesPerLoop + 5*filesPerListener + 6 // two loops, five listeners, four servers
	tests := []struct{ asked, limit, want int }{
		{0, 256, 98},
		{0, 512, 218},
		{0, 1024, 458},
		{0, fixed + 6, 1}, // 2 for pipes and pages
		{0, fixed + 3, 0},
		{458, 1024, 458},
		{459, 1024, 0},
		{100_000, 200_200, 100_000},
	}
	for _, test := range tests {
		b := fileBudget{test.limit, fixed}
		got, err := b.maxConnections(test.asked)
		if got != test.want || (err == nil) != (test.want > 0) {
			t.Errorf("%d clients asked for with %d descriptors: %d, %v, want %d", test.asked, test.limit, got, err, test.want)
		}
		if err == nil {
			continue
		}
		wanted := max(test.asked, 1)
		needed := b.needed(wanted)
		if !strings.Contains(err.Error(), fmt.Sprint(needed)) || (fileBudget{needed, fixed}).clients() < wanted || (fileBudget{needed - 1, fixed}).clients() >= wanted {
			t.Errorf("%d clients need %d descriptors: %v", wanted, needed, err)
		}
	}
	for limit := 1000; limit < 20_000; limit++ {
		if b, more := (fileBudget{limit, fixed}), (fileBudget{limit + 1, fixed}); b.clients() > more.clients() {
			t.Fatalf("with one descriptor more than %d there are fewer clients", limit)
		}
	}
	if many := (fileBudget{10_000, 700}); many.spare() != leastSpare || many.pipes() != 19 {
		t.Errorf("with many listeners %d descriptors are spare, and %d pipes", many.spare(), many.pipes())
	}
}
