package main

import (
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// options holds the command line's values.
type options struct {
	server, echo, tls string
	rate              int
	clients           int
	pause             time.Duration
	rounds            int
	round             time.Duration
	version           string
	shake             bool
}

func main() {
	var o options
	flag.StringVar(&o.server, "server", "127.0.0.1:9001", "listen for the balancer on this `host:port`, and echo")
	flag.StringVar(&o.echo, "echo", "127.0.0.1:8000", "the balancer's frontend of mode tcp, as `host:port`")
	flag.StringVar(&o.tls, "tls", "127.0.0.1:8443", "the TLS frontend, as `host:port`")
	flag.IntVar(&o.rate, "rate", 200, "handshakes per second")
	flag.IntVar(&o.clients, "clients", 4, "number of connections with echoed messages")
	flag.DurationVar(&o.pause, "pause", 5*time.Millisecond, "time between two messages of a connection")
	flag.IntVar(&o.rounds, "rounds", 3, "how many times to measure with and without handshakes")
	flag.DurationVar(&o.round, "round", 4*time.Second, "length of each measurement")
	flag.StringVar(&o.version, "version", "1.3", "TLS version: 1.2 or 1.3")
	flag.BoolVar(&o.shake, "shake", false, "only make handshakes, until standard input ends")
	flag.Parse()
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "handshakes:", err)
		os.Exit(1)
	}
}

func run(o options) error {
	if o.shake {
		return shake(o)
	}
	listener, err := net.Listen("tcp", o.server)
	if err != nil {
		return err
	}
	defer listener.Close()
	go echo(listener)
	if err := ready(o); err != nil {
		return err
	}
	var quiet, busy []time.Duration
	for range o.rounds {
		some, err := measure(o)
		if err != nil {
			return err
		}
		quiet = append(quiet, some...)
		more, err := measureBusy(o)
		if err != nil {
			return err
		}
		busy = append(busy, more...)
	}
	show("quiet", quiet)
	show(strconv.Itoa(o.rate)+"/s", busy)
	return nil
}

// echo sends back all bytes of every client.
func echo(listener net.Listener) {
	for {
		c, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			_, _ = io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{c}) // its client reports a broken connection
		}()
	}
}

// ready waits until the balancer relays to the echo server.
func ready(o options) error {
	o.round = 0
	var err error
	for range 100 {
		if _, err = ping(o); err == nil {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return err
}

// measure makes the clients send and receive for one round.
func measure(o options) ([]time.Duration, error) {
	var mu sync.Mutex
	var all []time.Duration
	var failed error
	var running sync.WaitGroup
	for range o.clients {
		running.Go(func() {
			found, err := ping(o)
			mu.Lock()
			defer mu.Unlock()
			all = append(all, found...)
			if err != nil {
				failed = err
			}
		})
	}
	running.Wait()
	return all, failed
}

// ping measures the latencies of one connection.
func ping(o options) ([]time.Duration, error) {
	c, err := net.Dial("tcp", o.echo)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	message := make([]byte, 200)
	var found []time.Duration
	for end := time.Now().Add(o.round); ; time.Sleep(o.pause) {
		sent := time.Now()
		if _, err := c.Write(message); err != nil {
			return found, err
		}
		if _, err := io.ReadFull(c, message); err != nil {
			return found, err
		}
		found = append(found, time.Since(sent))
		if time.Now().After(end) {
			return found, nil
		}
	}
}

// measureBusy measures while another process makes handshakes.
func measureBusy(o options) ([]time.Duration, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	child := exec.Command(self, "-shake", "-tls", o.tls, "-rate", strconv.Itoa(o.rate), "-version", o.version)
	child.Stdout, child.Stderr = os.Stdout, os.Stderr
	stdin, err := child.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := child.Start(); err != nil {
		return nil, err
	}
	time.Sleep(o.round / 4) // until the state is steady
	found, err := measure(o)
	stdin.Close()
	if failed := child.Wait(); err == nil {
		err = failed
	}
	return found, err
}

// shake makes handshakes at the rate until standard input ends.
func shake(o options) error {
	// Threads inherit the priority of the thread that creates them.
	if err := syscall.Setpriority(syscall.PRIO_PROCESS, 0, 19); err != nil {
		return err
	}
	config := &tls.Config{InsecureSkipVerify: true}
	if o.version == "1.2" {
		config.MaxVersion = tls.VersionTLS12
	}
	done := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(done)
	}()
	var mu sync.Mutex
	complete, broken := 0, 0
	begun := time.Now()
	tick := time.NewTicker(time.Second / time.Duration(o.rate))
	defer tick.Stop()
	for {
		select {
		case <-done:
			mu.Lock()
			defer mu.Unlock()
			fmt.Printf("handshakes: %.0f/s, %d failed\n", float64(complete)/time.Since(begun).Seconds(), broken)
			return nil
		case <-tick.C:
		}
		go func() {
			err := once(o.tls, config)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				broken++
			} else {
				complete++
			}
		}()
	}
}

func once(address string, config *tls.Config) error {
	c, err := tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", address, config)
	if err != nil {
		return err
	}
	return c.Close()
}

// show prints the distribution of the latencies.
func show(name string, all []time.Duration) {
	slices.Sort(all)
	at := func(part float64) time.Duration {
		return all[int(part*float64(len(all)-1))].Round(time.Microsecond)
	}
	fmt.Printf("%-8s %6d messages: p50 %v, p90 %v, p99 %v, p99.9 %v, max %v\n", name, len(all), at(0.5), at(0.9), at(0.99), at(0.999), at(1))
}
