package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"mcplb/cmd/mcpload/proc"
)

// figures are what one balancer has cost. Zero = not measured.
type figures struct {
	full, resumed         time.Duration // processor time of a handshake, with a connection and a byte
	fullRate, resumedRate float64       // handshakes a second
	resumedShare          float64       // of the handshakes that were to be resumed
	message               time.Duration // processor time of a message, there and back
	burst, idle           float64       // bytes of a connection: at once, and after a pause
}

// target is a balancer that is measured.
type target struct {
	options
	to   string // where it speaks TLS
	pids func() []int
}

// measure measures everything.
func (m *target) measure() (f figures, err error) {
	if err := m.await(); err != nil {
		return f, err
	}
	for _, part := range []struct {
		name string
		run  func(*figures) error
	}{{"full handshakes", m.shakeFull}, {"resumed handshakes", m.shakeResumed}, {"messages", m.exchange}, {"idle connections", m.hold}} {
		if err := part.run(&f); err != nil {
			return f, fmt.Errorf("%s: %w", part.name, err)
		}
	}
	return f, nil
}

// await waits until the balancer has found that the server is up.
func (m *target) await() (err error) {
	for began := time.Now(); time.Since(began) < 20*time.Second; time.Sleep(100 * time.Millisecond) {
		var c *tls.Conn
		if c, err = m.dial(nil); err == nil {
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

// processorTime is what the balancer's processes have used, in the scheduler's nanoseconds.
func (m *target) processorTime() (sum time.Duration, err error) {
	for _, pid := range m.pids() {
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
		if err != nil || len(tasks) == 0 {
			return 0, fmt.Errorf("process %d has no schedstat: %w", pid, errors.Join(err, os.ErrNotExist))
		}
		for _, task := range tasks {
			text, err := os.ReadFile(task)
			if err != nil {
				continue // the thread has ended
			}
			var n int64
			if _, err := fmt.Sscan(string(text), &n); err != nil {
				return 0, fmt.Errorf("%s: %w", task, err)
			}
			sum += time.Duration(n)
		}
	}
	return sum, nil
}

func (m *target) resident() (sum int64, err error) {
	for _, pid := range m.pids() {
		used, err := proc.UsageOf(pid, false)
		if err != nil {
			return 0, err
		}
		sum += used.Resident
	}
	return sum, nil
}

// dial opens a connection and waits for the first byte that comes back, with which the
// tickets have come, too.
func (m *target) dial(sessions tls.ClientSessionCache) (*tls.Conn, error) {
	c, err := tls.Dial("tcp", m.to, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13, ClientSessionCache: sessions})
	if err != nil {
		return nil, err
	}
	if err := ask(c, []byte("x")); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func ask(c *tls.Conn, message []byte) error {
	if _, err := c.Write(message); err != nil {
		return err
	}
	_, err := io.ReadFull(c, message)
	return err
}

// cost measures the processor time and the duration of what work does.
func (m *target) cost(work func() error) (used, took time.Duration, err error) {
	before, err := m.processorTime()
	if err != nil {
		return 0, 0, err
	}
	began := time.Now()
	if err := work(); err != nil {
		return 0, 0, err
	}
	took = time.Since(began)
	after, err := m.processorTime()
	return after - before, took, err
}

func (m *target) shakeFull(f *figures) (err error) {
	f.full, f.fullRate, _, err = m.shake(false)
	return err
}

func (m *target) shakeResumed(f *figures) (err error) {
	f.resumed, f.resumedRate, f.resumedShare, err = m.shake(true)
	return err
}

// shakers is how many clients make handshakes at the same time.
const shakers = 4

// shake measures handshakes.
func (m *target) shake(resume bool) (each time.Duration, rate, share float64, err error) {
	var resumed atomic.Int64
	used, took, err := m.cost(func() error {
		return together(shakers, func(int) error {
			var sessions tls.ClientSessionCache
			if resume {
				sessions = tls.NewLRUClientSessionCache(4)
			}
			for range m.handshakes / shakers {
				c, err := m.dial(sessions)
				if err != nil {
					return err
				}
				if c.ConnectionState().DidResume {
					resumed.Add(1)
				}
				c.Close()
			}
			return nil
		})
	})
	n := m.handshakes / shakers * shakers
	return used / time.Duration(n), float64(n) / took.Seconds(), float64(resumed.Load()) / float64(n), err
}

// together runs n clients at once.
func together(n int, client func(i int) error) error {
	var working sync.WaitGroup
	failures := make([]error, n)
	for i := range n {
		working.Go(func() { failures[i] = client(i) })
	}
	working.Wait()
	return errors.Join(failures...)
}

// exchange measures messages.
func (m *target) exchange(f *figures) error {
	clients := make([]*tls.Conn, m.clients)
	for i := range clients {
		c, err := m.dial(nil)
		if err != nil {
			return err
		}
		defer c.Close()
		clients[i] = c
	}
	used, _, err := m.cost(func() error {
		return together(m.clients, func(i int) error {
			message := make([]byte, m.size)
			for range m.messages {
				if err := ask(clients[i], message); err != nil {
					return err
				}
			}
			return nil
		})
	})
	f.message = used / time.Duration(m.clients*m.messages)
	return err
}

// hold measures idle connections, beside the balancer at rest.
func (m *target) hold(f *figures) error {
	time.Sleep(m.pause)
	before, err := m.resident()
	if err != nil {
		return err
	}
	held := make([]*tls.Conn, m.idle)
	defer func() {
		for _, c := range held {
			if c != nil {
				c.Close()
			}
		}
	}()
	for i := range held {
		if held[i], err = m.dial(nil); err != nil {
			return err
		}
	}
	for _, figure := range []*float64{&f.burst, &f.idle} {
		now, err := m.resident()
		if err != nil {
			return err
		}
		*figure = float64(now-before) / float64(m.idle)
		if figure == &f.burst {
			time.Sleep(m.pause)
		}
	}
	for _, c := range held { // they were there all the time, and still are
		if err := ask(c, []byte("x")); err != nil {
			return fmt.Errorf("after the pause: %w", err)
		}
	}
	return nil
}

// pidsIn are the process IDs in a list.
func pidsIn(list string) (pids []int, err error) {
	for text := range strings.SplitSeq(list, ",") {
		var pid int
		if _, err := fmt.Sscan(text, &pid); err != nil {
			return nil, fmt.Errorf("-pid: %w", err)
		}
		pids = append(pids, pid)
	}
	return pids, nil
}
