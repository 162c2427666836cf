package origin

import (
	"context"
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"mcplb/cmd/mcpload/clients"
	"mcplb/cmd/mcpload/run"
	"mcplb/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// Clients of both kinds accept it as a server.
func TestServe(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	host := fmt.Sprintf("127.99.%d.%d", os.Getpid()>>8&255, os.Getpid()&255) // this process's own
	s := Server{Name: "o1", Lines: host + ":7999", HTTP: host + ":7998"}
	go func() { served <- s.Serve(ctx) }()
	for _, message := range []clients.Message{clients.Whoami, clients.Echo, clients.Ping} {
		o := run.Defaults()
		o.Mix, o.Message = clients.Mix{clients.TCP: 1, clients.HTTP: 1}, message
		o.Clients, o.Sources, o.Quiet = 20, 7, true
		o.Interval, o.Load, o.Monitor, o.Reconnect = 20*time.Millisecond, 200*time.Millisecond, 10*time.Millisecond, time.Millisecond
		o.Addresses[clients.TCP], o.Addresses[clients.HTTP] = s.Lines, s.HTTP
		report, err := run.Do(t.Context(), &o, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		if report.Held != o.Clients || report.Monitor.Answered != uint64(o.Clients) || len(report.Nodes) != 1 || report.Nodes[0].Name != "o1" {
			t.Errorf("%v: %+v, lost %v", message, report.Verdict, report.Lost)
		}
	}
	stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func TestAddressInUse(t *testing.T) {
	t.Parallel()
	if err := (&Server{Lines: "nowhere"}).Serve(t.Context()); err == nil {
		t.Error("an address without a port is served")
	}
}
