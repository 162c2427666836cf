package proxy

import (
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
		{"no descriptors", frontendText("f", anyPort, "tcp", "b") + good, 100,
			[]string{"open-files limit is 100", "raise it above 202"}},
		{"too many clients", "[global]\nmaxconn = 5000\n" + frontendText("f", anyPort, "tcp", "b") + good, 1024,
			[]string{"global.maxconn = 5000 needs an open-files limit of 10200, and it is 1024", "lower maxconn to 412"}},
		{"no such host", frontendText("f", anyPort, "tcp", "b") + backend + "tcp = \"no-such-host.invalid:9000\"\n", 1000,
			[]string{"backend b, server s", "no-such-host.invalid"}},
	}
	for _, test := range tests {
		o := options()
		o.FileLimit = test.limit
		p, err := Start(parse(t, test.text), o)
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

func TestMaxConnections(t *testing.T) {
	t.Parallel()
	tests := []struct{ asked, limit, want int }{
		{0, 1024, 412},
		{0, 202, 1},
		{0, 201, 0},
		{1, 202, 1},
		{1, 201, 0},
		{412, 1024, 412},
		{413, 1024, 0},
		{100_000, 200_200, 100_000},
	}
	for _, test := range tests {
		if got, err := maxConnections(test.asked, test.limit); got != test.want || (err == nil) != (test.want > 0) {
			t.Errorf("%d clients asked for with %d descriptors: %d, %v, want %d", test.asked, test.limit, got, err, test.want)
		}
	}
}
