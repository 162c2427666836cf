package healthcheck

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"mcplb/conf"
)

// target is where the probes of one server go. An address that is not valid
// is an endpoint that the server does not have.
type target struct {
	tcp, http netip.AddrPort
}

// probe asks a server once how it is. It returns soon after ctx ends, and
// leaves nothing behind. At and Latency of its result are the caller's to fill.
type probe func(ctx context.Context, check conf.Check, to target) Result

// probeServer is the real probe: of the kind that the check names.
func probeServer(ctx context.Context, check conf.Check, to target) Result {
	switch check.Type {
	case conf.CheckHTTP:
		return probeHTTP(ctx, to.http, check.Path, check.Expect)
	case conf.CheckMCP:
		return probeMCP(ctx, to.tcp)
	}
	if to.tcp.IsValid() {
		return probeTCP(ctx, to.tcp)
	}
	return probeTCP(ctx, to.http)
}

// timed runs a probe and fills in when it ended and how long it took.
func (p probe) timed(ctx context.Context, check conf.Check, to target) Result {
	start := time.Now()
	result := p(ctx, check, to)
	result.At = time.Now()
	result.Latency = result.At.Sub(start)
	return result
}

// dial connects to addr. The second value is the result to report when it
// fails. The connection does no keep-alive: it lives for one question.
func dial(ctx context.Context, addr netip.AddrPort) (*net.TCPConn, Result) {
	if !addr.IsValid() {
		return nil, Result{Code: SOCKERR, Detail: "the server has no address for this type of check"}
	}
	dialer := net.Dialer{KeepAlive: -1}
	conn, err := dialer.DialContext(ctx, "tcp", addr.String())
	if err != nil {
		return nil, connectResult(err)
	}
	return conn.(*net.TCPConn), Result{}
}

// localErrors are failures of connect(2) and socket(2) that are the
// balancer's own: they say nothing of the server, so they must not take one
// down, let alone all of them at once.
var localErrors = []error{
	syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM,
	syscall.EADDRNOTAVAIL, syscall.EADDRINUSE, syscall.EAGAIN,
}

// connectResult says what a failed connect proves.
func connectResult(err error) Result {
	for _, local := range localErrors {
		if errors.Is(err, local) {
			return Result{Code: SOCKERR, Detail: local.Error()}
		}
	}
	if isTimeout(err) {
		return Result{Code: L4TOUT}
	}
	return Result{Code: L4CON, Detail: reason(err)}
}

// answerResult says what it proves that an established connection failed
// before the whole answer, of which what names the missing part, was there.
func answerResult(err error, what string) Result {
	switch {
	case isTimeout(err):
		return Result{Code: L7TOUT, Detail: "timed out waiting for " + what}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return Result{Code: L7RSP, Detail: "connection closed before " + what}
	}
	return Result{Code: L7RSP, Detail: fmt.Sprintf("%s before %s", reason(err), what)}
}

// isTimeout covers the probe's own deadline, however it surfaces, and the
// kernel's.
func isTimeout(err error) bool {
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, context.Canceled) || errors.Is(err, syscall.ETIMEDOUT)
}

// reason cuts an error of package net down to the system's own words: the
// address stands in the log line already.
func reason(err error) string {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno.Error()
	}
	return err.Error()
}

// endWith makes reads and writes on conn fail once ctx ends: by its deadline,
// or because the check was called off. The caller calls stop when done.
func endWith(ctx context.Context, conn net.Conn) (stop func() bool) {
	return context.AfterFunc(ctx, func() {
		conn.SetDeadline(time.Unix(1, 0))
	})
}
