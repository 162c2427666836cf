package main

import (
	"bufio"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// options holds the command line's values.
type options struct {
	address string
	n       int
	sources int
	rounds  int
	workers int
	timeout time.Duration
	pid     int // the balancer's; 0 = none
	tls     bool
}

func main() {
	var o options
	flag.StringVar(&o.address, "to", "127.0.0.1:8000", "the balancer's frontend, of mode mcp, as `host:port`")
	flag.IntVar(&o.n, "n", 1000, "number of connections to hold")
	flag.IntVar(&o.sources, "sources", 1000, "number of addresses they come from")
	flag.IntVar(&o.rounds, "rounds", 2, "number of pings on every connection while all are held")
	flag.IntVar(&o.workers, "workers", 64, "number of connections opened or pinged at a time")
	flag.DurationVar(&o.timeout, "timeout", time.Minute, "how long to wait for a connection or a response")
	flag.IntVar(&o.pid, "pid", 0, "the balancer's process id, to show its memory and files")
	flag.BoolVar(&o.tls, "tls", false, "the frontend speaks TLS; its certificate is not checked")
	flag.Parse()
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "hold:", err)
		os.Exit(1)
	}
}

func run(o options) error {
	before, err := usageOf(o.pid)
	if err != nil {
		return err
	}
	fmt.Printf("before:     %v\n", before)
	conns := make([]net.Conn, o.n)
	defer closeAll(conns)
	if err := o.forEach("opened", func(i int) (err error) {
		if conns[i], err = o.dial(i); err != nil {
			return err
		}
		return o.ping(conns[i], i)
	}); err != nil {
		return err
	}
	for range o.rounds {
		if err := o.forEach("answered", func(i int) error { return o.ping(conns[i], i) }); err != nil {
			return err
		}
	}
	holding, err := usageOf(o.pid)
	if err != nil {
		return err
	}
	fmt.Printf("holding:    %v\n", holding)
	fmt.Printf("each:       %.0f bytes, %.2f files\n",
		float64(holding.resident-before.resident)/float64(o.n), float64(holding.files-before.files)/float64(o.n))
	return nil
}

// dial opens connection i, from an address shared with as few others as
// possible.
func (o *options) dial(i int) (net.Conn, error) {
	source := i % o.sources
	dialer := net.Dialer{
		Timeout:   o.timeout,
		LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 200, byte(source/250), byte(source%250+1))},
		KeepAlive: -1,
	}
	if o.tls {
		return tls.DialWithDialer(&dialer, "tcp", o.address, &tls.Config{InsecureSkipVerify: true})
	}
	return dialer.Dial("tcp", o.address)
}

// ping sends a ping with number i on connection i, and checks the response.
func (o *options) ping(conn net.Conn, i int) error {
	if err := conn.SetDeadline(time.Now().Add(o.timeout)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(conn, `{"jsonrpc":"2.0","id":%d,"method":"ping"}`+"\n", i); err != nil {
		return err
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return fmt.Errorf("connection %d got no response: %w", i, err)
	}
	if want := fmt.Sprintf(`"id":%d,`, i); !strings.Contains(line, want) || !strings.Contains(line, `"result"`) {
		return fmt.Errorf("connection %d got the response %q", i, line)
	}
	return nil
}

// forEach calls work for every connection, and prints how many are done from
// time to time and at the end.
func (o *options) forEach(done string, work func(i int) error) error {
	start := time.Now()
	var next, finished atomic.Int64
	var working sync.WaitGroup
	failed := make([]error, o.workers)
	for w := range o.workers {
		working.Go(func() {
			for i := int(next.Add(1)) - 1; i < o.n && failed[w] == nil; i = int(next.Add(1)) - 1 {
				if failed[w] = work(i); failed[w] != nil {
					continue
				}
				if n := finished.Add(1); n%5000 == 0 || int(n) == o.n {
					fmt.Printf("%-11s %d of %d after %v\n", done+":", n, o.n, time.Since(start).Round(time.Millisecond))
				}
			}
		})
	}
	working.Wait()
	return errors.Join(failed...)
}

func closeAll(conns []net.Conn) {
	for _, conn := range conns {
		if conn != nil {
			conn.Close()
		}
	}
}

// usage is the memory and files that a process uses.
type usage struct{ resident, files int }

func (u usage) String() string {
	return fmt.Sprintf("%.1f MB resident, %d open files", float64(u.resident)/1e6, u.files)
}

// usageOf reads the usage of a process (proc(5)); of 0 it is zero.
func usageOf(pid int) (usage, error) {
	if pid == 0 {
		return usage{}, nil
	}
	directory := "/proc/" + strconv.Itoa(pid)
	files, err := os.ReadDir(directory + "/fd")
	if err != nil {
		return usage{}, err
	}
	text, err := os.ReadFile(directory + "/statm")
	if err != nil {
		return usage{}, err
	}
	var size, resident int
	if _, err := fmt.Sscan(string(text), &size, &resident); err != nil {
		return usage{}, fmt.Errorf("%s/statm: %w", directory, err)
	}
	return usage{resident: resident * os.Getpagesize(), files: len(files)}, nil
}
