package main

import (
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"mcplb/cmd/mcpload/proc"
)

// options holds the command line's values.
type options struct {
	to, echo   string
	pids       string
	idle       int
	clients    int
	messages   int
	handshakes int
	size       int
	pause      time.Duration
}

func main() {
	var o options
	flag.StringVar(&o.to, "to", "127.0.0.1:8443", "the balancer's TLS frontend, as `host:port`")
	flag.StringVar(&o.echo, "echo", "127.0.0.1:9001", "where to echo, as `host:port`")
	flag.StringVar(&o.pids, "pid", "", "the balancer's process `IDs`")
	flag.IntVar(&o.idle, "idle", 2000, "number of idle connections")
	flag.IntVar(&o.clients, "clients", 16, "number of clients that send messages")
	flag.IntVar(&o.messages, "messages", 2000, "number of messages of each")
	flag.IntVar(&o.handshakes, "handshakes", 1000, "number of handshakes of either kind")
	flag.IntVar(&o.size, "size", 100, "bytes of a message")
	flag.DurationVar(&o.pause, "pause", 75*time.Second, "how long idle connections rest before they are measured once more")
	flag.Parse()
	if err := run(&o); err != nil {
		fmt.Fprintln(os.Stderr, "tlscost:", err)
		os.Exit(1)
	}
}

func run(o *options) error {
	listener, err := net.Listen("tcp", o.echo)
	if err != nil {
		return err
	}
	defer listener.Close()
	go echo(listener)
	if err := o.await(); err != nil {
		return err
	}
	for _, part := range []struct {
		name    string
		measure func() error
	}{
		{"full handshakes", func() error { return o.shake(nil) }},
		{"resumed handshakes", func() error { return o.shake(tls.NewLRUClientSessionCache(64)) }},
		{"messages", o.exchange},
		{"idle connections", o.hold},
	} {
		if err := part.measure(); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	return nil
}

// await waits until the balancer has found that the server is up.
func (o *options) await() (err error) {
	for began := time.Now(); time.Since(began) < 10*time.Second; time.Sleep(100 * time.Millisecond) {
		var c *tls.Conn
		if c, err = o.dial(nil); err == nil {
			return c.Close()
		}
	}
	return err
}

// echo sends back what comes.
func echo(listener net.Listener) {
	for {
		c, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			_, _ = io.Copy(c, c) // it ends as the client does
		}()
	}
}

// usage adds up what the balancer's processes have used.
func (o *options) usage() (seconds float64, resident int64, err error) {
	for pid := range strings.SplitSeq(o.pids, ",") {
		var n int
		if _, err := fmt.Sscan(pid, &n); err != nil {
			return 0, 0, fmt.Errorf("-pid: %w", err)
		}
		used, err := proc.UsageOf(n, false)
		if err != nil {
			return 0, 0, err
		}
		seconds += used.CPU.Seconds()
		resident += used.Resident
	}
	return seconds, resident, nil
}

// dial opens a connection and waits for the first byte that comes back, with which the
// tickets have come, too.
func (o *options) dial(sessions tls.ClientSessionCache) (*tls.Conn, error) {
	c, err := tls.Dial("tcp", o.to, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13, ClientSessionCache: sessions})
	if err != nil {
		return nil, err
	}
	return c, ask(c, []byte("x"))
}

func ask(c *tls.Conn, message []byte) error {
	if _, err := c.Write(message); err != nil {
		return err
	}
	_, err := io.ReadFull(c, message)
	return err
}

// shake measures handshakes, each with a connection and a byte.
func (o *options) shake(sessions tls.ClientSessionCache) error {
	before, _, err := o.usage()
	if err != nil {
		return err
	}
	began, resumed := time.Now(), 0
	for range o.handshakes {
		c, err := o.dial(sessions)
		if err != nil {
			return err
		}
		if c.ConnectionState().DidResume {
			resumed++
		}
		c.Close()
	}
	after, _, err := o.usage()
	fmt.Printf("handshakes: %d, %d of them resumed: %.0f us each, %.0f per second\n", o.handshakes, resumed,
		(after-before)/float64(o.handshakes)*1e6, float64(o.handshakes)/time.Since(began).Seconds())
	return err
}

// exchange measures messages.
func (o *options) exchange() error {
	clients := make([]*tls.Conn, o.clients)
	for i := range clients {
		c, err := o.dial(nil)
		if err != nil {
			return err
		}
		defer c.Close()
		clients[i] = c
	}
	before, _, err := o.usage()
	if err != nil {
		return err
	}
	var working sync.WaitGroup
	failures := make([]error, o.clients)
	for i, c := range clients {
		working.Go(func() {
			message := make([]byte, o.size)
			for n := 0; n < o.messages && failures[i] == nil; n++ {
				failures[i] = ask(c, message)
			}
		})
	}
	working.Wait()
	after, _, err := o.usage()
	fmt.Printf("messages:   %.2f us each, there and back\n", (after-before)/float64(o.clients*o.messages)*1e6)
	return errors.Join(append(failures, err)...)
}

// hold measures idle connections.
func (o *options) hold() error {
	_, before, err := o.usage()
	if err != nil {
		return err
	}
	for range o.idle {
		c, err := o.dial(nil)
		if err != nil {
			return err
		}
		defer c.Close()
	}
	for _, pause := range []time.Duration{0, o.pause} {
		time.Sleep(pause)
		_, after, err := o.usage()
		if err != nil {
			return err
		}
		fmt.Printf("idle:       %.0f bytes each after %v\n", float64(after-before)/float64(o.idle), pause)
	}
	return nil
}
