package main

import (
	"context"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"mcplb/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// A frame that is counted is one that was sent.
func TestFrames(t *testing.T) {
	t.Parallel()
	for _, a := range attacks {
		if a.connections == 0 || (a.send == nil) == (a.version1 == "") {
			t.Errorf("%s attacks nothing", a.name)
		}
	}
	if got := frames([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x01\x06\x00\x00\x00\x00\x00x")); got != 2 {
		t.Errorf("%d frames, want 2", got)
	}
}

// All attacks at once, each over one connection: other clients are served, those attackers are
// cut that are to be, and the balancer's memory is bounded. What each attack costs is measured
// by the program.
func TestAttacks(t *testing.T) {
	t.Parallel()
	binary := filepath.Join(t.TempDir(), "mcplb")
	if output, err := exec.Command("go", "build", "-buildvcs=false", "-ldflags=-s -w", "-o", binary, "mcplb/cmd/mcplb").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	server, apart := startServer(), startServer()
	defer server.Close()
	defer apart.Close()
	b, err := startBalancer(t.Context(), binary, server.Listener.Addr().String(), apart.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer b.stop()
	o := options{patience: time.Minute, memory: 256}
	ctx, enough := context.WithCancel(t.Context())
	defer enough()
	var r result
	others := b.serve(ctx, o, &r.during, "/quick")
	attackers, counts := attackAtOnce(ctx, b.client)
	deadline := time.Now().Add(3 * time.Minute)
	for i := range attacks {
		for a := &attacks[i]; a.cut && counts[i].cut.Load() == 0; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Errorf("%s: no connection was cut", a.name)
				break
			}
		}
	}
	enough()
	attackers.Wait()
	others.Wait()
	r.memory = b.memory()
	for _, complaint := range r.judge(o, &attack{}) {
		t.Error(complaint)
	}
	t.Logf("%d requests of other clients: median %v, 99%% %v; %d MB, %v of CPU time", len(r.during.took), r.during.quantile(0.5), r.during.quantile(0.99), r.memory, b.cpu())
}

// attackAtOnce begins one connection of each attack, and returns what each has done.
func attackAtOnce(ctx context.Context, address string) (*sync.WaitGroup, []counts) {
	running, done := &sync.WaitGroup{}, make([]counts, len(attacks))
	for i := range attacks {
		running.Go(func() { attacks[i].repeat(ctx, address, 0, &done[i]) })
	}
	return running, done
}
