package accesslog

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"mcplb/conf"
)

const (
	syslogDialTime  = 2 * time.Second
	syslogWriteTime = time.Second
)

// syslogSockets are where the local syslog listens.
var syslogSockets = []string{"/dev/log", "/var/run/syslog", "/var/run/log"}

// syslogSink sends every line as a datagram to syslog (RFC 3164). It connects at the
// first line, and again after a failure, so that neither a missing syslog nor a slow
// name server holds up a start. Package log/syslog would do but for one thing: its
// writes and its Close wait for a reader that hangs, without a limit.
type syslogSink struct {
	to   conf.Syslog
	host string
	out  []byte // only for Write

	mu     sync.Mutex
	conn   net.Conn // nil = not connected; guarded by mu
	closed bool     // guarded by mu
}

func openSyslog(text string) (*syslogSink, error) {
	to, err := conf.ParseSyslog(text)
	if err != nil {
		return nil, err
	}
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	return &syslogSink{to: to, host: host}, nil
}

// Write sends lines, each of which ends with a newline. It returns how many bytes of
// whole lines were sent. Only one goroutine may call it.
func (s *syslogSink) Write(p []byte) (n int, err error) {
	conn, err := s.connected()
	if err != nil {
		return 0, err
	}
	for n < len(p) {
		line, _, _ := bytes.Cut(p[n:], newline)
		_ = conn.SetWriteDeadline(time.Now().Add(syslogWriteTime))
		_, err := conn.Write(s.datagram(line, time.Now()))
		if err != nil && !errors.Is(err, syscall.EMSGSIZE) { // what is too long never goes
			s.disconnect(conn)
			return n, err
		}
		n += min(len(line)+1, len(p)-n)
	}
	return n, nil
}

// datagram returns a line as syslog takes it. The local one adds the host itself.
func (s *syslogSink) datagram(line []byte, now time.Time) []byte {
	host := s.host + " "
	if s.to.Network != "udp" {
		host = ""
	}
	s.out = fmt.Appendf(s.out[:0], "<%d>%s %s%s[%d]: ", s.to.Priority, now.Format(time.Stamp), host, s.to.Tag, os.Getpid())
	s.out = append(s.out, line...)
	return s.out
}

// connected returns the connection, which it makes if there is none.
func (s *syslogSink) connected() (net.Conn, error) {
	s.mu.Lock()
	conn, closed := s.conn, s.closed
	s.mu.Unlock()
	if closed {
		return nil, net.ErrClosed
	}
	if conn != nil {
		return conn, nil
	}
	conn, err := s.dial()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		conn.Close()
		return nil, net.ErrClosed
	}
	s.conn = conn
	return conn, nil
}

func (s *syslogSink) dial() (net.Conn, error) {
	if s.to.Network != "" {
		return net.DialTimeout(s.to.Network, s.to.Address, syslogDialTime)
	}
	for _, path := range syslogSockets {
		if conn, err := net.DialTimeout("unixgram", path, syslogDialTime); err == nil {
			return conn, nil
		}
	}
	return nil, errNoSyslog
}

var errNoSyslog = errors.New(`this machine has no local syslog (no socket /dev/log): start one, or write "syslog:server=HOST:PORT"`)

func (s *syslogSink) disconnect(conn net.Conn) {
	conn.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == conn {
		s.conn = nil
	}
}

// Close ends a write that waits.
func (s *syslogSink) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.conn == nil {
		return nil
	}
	return s.conn.Close()
}
