package proxy

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"mcplb/conf"
	"mcplb/internal/harness"
	"mcplb/proxy/handover"

	"golang.org/x/sys/unix"
)

// largeText is a configuration with so many servers, in two backends, and so many
// frontends, half of them http. Each version differs in every server and frontend.
func largeText(servers, frontends, version int) string {
	var text strings.Builder
	text.WriteString("[ratelimit]\nconnection_rate = 0\nmessage_rate = 0\n")
	for i := range frontends {
		fmt.Fprintf(&text, "[frontend.f%d]\nlisten = \"127.0.%d.%d:0\"\nmode = %q\nbackend = \"b%d\"\ntimeout_client = \"%ds\"\n",
			i, 100+i/200, 1+i%200, []string{"mcp", "http"}[i%2], i%2, 60+version)
		if i%2 == 1 {
			fmt.Fprintf(&text, "[[frontend.f%d.route]]\npath = \"/a\"\nendpoint = \"sse\"\n[[frontend.f%d.route]]\npath = \"/b\"\nbackend = \"b%d\"\n", i, i, (i+1)%2)
		}
	}
	for b := range 2 {
		fmt.Fprintf(&text, "[backend.b%d]\nbalance = \"source\"\n[backend.b%d.check]\ninterval = \"1h\"\n", b, b)
		for i := b; i < servers; i += 2 {
			fmt.Fprintf(&text, "[[backend.b%d.server]]\nname = \"node%d\"\ntcp = \"127.0.%d.%d:9\"\nhttp = \"127.0.%d.%d:9\"\nweight = %d\n", b, i, i/200, 1+i%200, i/200, 1+i%200, 50+version)
		}
	}
	return text.String()
}

// TestApplyLarge measures the cost of a reload of 1,000 servers and 200 frontends,
// all of them changed, and half of them removed or added: the loops' processor
// time, and the total time.
func TestApplyLarge(t *testing.T) {
	const servers, frontends = 1000, 200
	rounds := 6
	if harness.Long {
		rounds = 30
	}
	slower := time.Duration(1)
	if raceEnabled {
		slower = 3
	}
	r := start(t, largeText(servers, frontends, 0))
	var parsing, applying, longest, loops, worst time.Duration
	for version := 1; version <= rounds; version++ {
		share := 1 + version%3/2 // every third version lacks half of all
		text := []byte(largeText(servers/share, frontends/share, version%2))
		began := time.Now()
		c, err := conf.Parse("lb.toml", text)
		if err != nil {
			t.Fatal(err)
		}
		parsing += time.Since(began)
		runtime.GC() // of what was parsed for earlier reloads
		watched := version > rounds/2
		stalls := func() time.Duration { return 0 }
		if watched {
			stalls = r.watchLoops()
		}
		before := r.loopTimes()
		began = time.Now()
		if _, err := r.Apply(c); err != nil {
			t.Fatal(err)
		}
		took := time.Since(began)
		applying += took
		longest = max(longest, took)
		if !watched { // watching takes the loops' time, too
			loops = max(loops, since(before, r.loopTimes()))
		}
		worst = max(worst, stalls())
	}
	t.Logf("%d servers, %d frontends: parsing %v, applying %v (at most %v); the loops took %v at most, no turn more than %v",
		servers, frontends, parsing/time.Duration(rounds), applying/time.Duration(rounds), longest, loops, worst)
	if limit := slower * 100 * time.Millisecond; loops > limit {
		t.Errorf("a reload took %v of the loops' processor time, want under %v", loops, limit)
	}
	if limit := slower * 5 * time.Millisecond; worst > limit {
		t.Errorf("a turn of a loop took %v of processor time, want under %v", worst, limit)
	}
}

// threadTime is the processor time that a thread has taken (getrusage(2)). A loop can be
// on another thread after a time slice.
type threadTime struct {
	thread int
	taken  time.Duration
}

func threadTimeNow() threadTime {
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &usage); err != nil {
		return threadTime{}
	}
	return threadTime{unix.Gettid(), time.Duration(usage.Utime.Nano() + usage.Stime.Nano())}
}

// loopTimes are those of the loops' threads.
func (r *running) loopTimes() []threadTime {
	times := make([]threadTime, len(r.engine.Loops()))
	var asked sync.WaitGroup
	for i, loop := range r.engine.Loops() {
		asked.Add(1)
		loop.Do(func() { times[i] = threadTimeNow(); asked.Done() })
	}
	asked.Wait()
	return times
}

// since is what the loops have taken that stayed on their threads.
func since(before, now []threadTime) (sum time.Duration) {
	for i := range now {
		if now[i].thread == before[i].thread {
			sum += now[i].taken - before[i].taken
		}
	}
	return sum
}

// watchLoops measures how much processor time any one turn of a loop takes,
// until the function that it returns is called, which returns the maximum.
func (r *running) watchLoops() (stop func() time.Duration) {
	var watching sync.WaitGroup
	ended := make(chan struct{})
	worst := make([]time.Duration, len(r.engine.Loops()))
	for i, loop := range r.engine.Loops() {
		watching.Go(func() {
			var last threadTime
			for {
				select {
				case <-ended:
					return
				default:
				}
				loop.Do(func() {
					now := threadTimeNow()
					if now.thread == last.thread {
						worst[i] = max(worst[i], now.taken-last.taken)
					}
					last = now
				})
			}
		})
	}
	return func() time.Duration {
		close(ended)
		watching.Wait()
		return max(worst[0], worst[len(worst)-1])
	}
}

// BenchmarkState measures what a new process waits for before it accepts clients,
// with 1,000 servers and 200 frontends.
func BenchmarkState(b *testing.B) {
	r := start(b, largeText(1000, 200, 0))
	size := 0
	for b.Loop() {
		b.StopTimer()
		old := &handover.Old{Balancer: r.Handover()} // its state contains everything that was counted
		old.Suspend()
		b.StartTimer()
		state, err := old.State()
		if err != nil {
			b.Fatal(err)
		}
		size = len(state)
		b.StopTimer()
		old.Resume()
		b.StartTimer()
	}
	b.ReportMetric(float64(size), "bytes")
}
