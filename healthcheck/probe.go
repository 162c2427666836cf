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

// target has the addresses for the probes of one server. An invalid address means
// that the server has no such endpoint.
type target struct {
	tcp, http netip.AddrPort
}

// probe checks a server once. It returns soon after ctx ends, and leaves nothing
// open. The caller sets At and Latency of the result.
type probe func(ctx context.Context, check conf.Check, to target) Result

// probeServer makes a probe of the type that check specifies.
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

// timed runs a probe and sets At and Latency of the result.
func (p probe) timed(ctx context.Context, check conf.Check, to target) Result {
	start := time.Now()
	result := p(ctx, check, to)
	result.At = time.Now()
	result.Latency = result.At.Sub(start)
	return result
}

// dial connects to addr. If that fails, conn is nil and the second value is the
// result of the probe. TCP keep-alive is off, as the connection is short-lived.
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

// localErrors are failures of connect(2) and socket(2) that the balancer's machine
// causes. They say nothing about the server and so must not take it down, let alone
// all servers at once.
var localErrors = []error{
	syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM,
	syscall.EADDRNOTAVAIL, syscall.EADDRINUSE, syscall.EAGAIN,
}

// connectResult returns the result of a failed connect.
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

// answerResult returns the result if an established connection fails before the
// response is complete. what names the missing part.
func answerResult(err error, what string) Result {
	switch {
	case isTimeout(err):
		return Result{Code: L7TOUT, Detail: "timed out waiting for " + what}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return Result{Code: L7RSP, Detail: "connection closed before " + what}
	}
	return Result{Code: L7RSP, Detail: fmt.Sprintf("%s before %s", reason(err), what)}
}

// isTimeout reports whether err is a timeout: of the probe, in any of its forms, or of
// the kernel.
func isTimeout(err error) bool {
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, context.Canceled) || errors.Is(err, syscall.ETIMEDOUT)
}

// reason reduces an error of package net to the text of the system error, as the log
// line has the address already.
func reason(err error) string {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno.Error()
	}
	return err.Error()
}

// endWith makes reads and writes on conn fail once ctx ends: by its deadline, or
// because the probe is canceled. The caller calls stop when done.
func endWith(ctx context.Context, conn net.Conn) (stop func() bool) {
	return context.AfterFunc(ctx, func() {
		conn.SetDeadline(time.Unix(1, 0))
	})
}
