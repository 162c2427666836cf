package healthcheck

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"mcplb/conf"
)

// Target has the addresses of one server for its checks.
type Target struct {
	TCP, HTTP Address
}

// Address is one address of a server. The zero value means that it has none.
type Address struct {
	Addr    netip.AddrPort
	Written string // as the configuration has it, host:port; "" = Addr
}

// on returns the address with another port; 0 = the same.
func (a Address) on(port int) Address {
	if port == 0 || !a.Addr.IsValid() {
		return a
	}
	host, _, err := net.SplitHostPort(a.Written)
	a.Addr = netip.AddrPortFrom(a.Addr.Addr(), uint16(port))
	if a.Written = ""; err == nil {
		a.Written = net.JoinHostPort(host, strconv.Itoa(port))
	}
	return a
}

// host returns the address as a Host field: without the port that HTTP, or HTTPS where
// checks speak TLS, takes for granted.
func (a Address) host(check *conf.Check) string {
	host, granted := cmp.Or(a.Written, a.Addr.String()), ":80"
	if check.TLS != nil {
		granted = ":443"
	}
	return strings.TrimSuffix(host, granted)
}

// target is a Target and what the probes before found there.
type target struct {
	Target
	memory *memory // nil = nothing, and nothing waits for what is left to do
}

// memory is what the probes of one server know of those before.
type memory struct {
	initializes atomic.Bool     // the server last answered to initialize, not to server/discover
	endings     *sync.WaitGroup // probes that are ending a session
}

// probe checks a server once. It returns soon after ctx ends. It leaves nothing open but
// for the end of an MCP session, which may outlast it. The caller sets At and Latency of
// the result.
type probe func(ctx context.Context, check conf.Check, to target) Result

// probeServer makes a probe of the type that check specifies.
func probeServer(ctx context.Context, check conf.Check, to target) Result {
	tcp, http := to.TCP.on(check.Port), to.HTTP.on(check.Port)
	switch check.Type {
	case conf.CheckHTTP:
		if !http.Addr.IsValid() && check.Port != 0 {
			http = tcp
		}
		return probeHTTP(ctx, check, http)
	case conf.CheckMCP:
		if tcp.Addr.IsValid() || !http.Addr.IsValid() {
			return probeMCP(ctx, check, tcp)
		}
		return probeMCPHTTP(ctx, check, http, to.memory)
	}
	if !tcp.Addr.IsValid() {
		tcp = http
	}
	return probeTCP(ctx, check, tcp)
}

// timed runs a probe and sets At and Latency of the result.
func (p probe) timed(ctx context.Context, check conf.Check, to target) Result {
	start := time.Now()
	result := p(ctx, check, to)
	result.At = time.Now()
	result.Latency = result.At.Sub(start)
	return result
}

// dial connects to an address, sends the PROXY header of the check, if there is one, and
// begins TLS where checks speak it. If that fails, conn is nil and the second value is the
// result of the probe. TCP keep-alive is off, as the connection is short-lived.
func dial(ctx context.Context, check conf.Check, to Address) (net.Conn, Result) {
	if !to.Addr.IsValid() {
		return nil, Result{Code: SOCKERR, Detail: "the server has no address for this type of check"}
	}
	dialer := net.Dialer{KeepAlive: -1}
	conn, err := dialer.DialContext(ctx, "tcp", to.Addr.String())
	if err != nil {
		return nil, connectResult(err)
	}
	if header := proxyHeaders[check.ProxyHeader]; header != "" {
		if _, err := io.WriteString(conn, header); err != nil {
			conn.Close()
			return nil, answerResult(err, "the PROXY header was sent")
		}
	}
	if check.TLS != nil {
		return shake(ctx, check.TLS, conn, to)
	}
	return conn, Result{}
}

// proxyHeaders are the PROXY headers of connections that the balancer makes for itself:
// UNKNOWN in version 1, LOCAL in version 2 (HAProxy, doc/proxy-protocol.txt, section 2).
var proxyHeaders = map[conf.SendProxy]string{
	conf.SendProxyV1: "PROXY UNKNOWN\r\n",
	conf.SendProxyV2: "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00",
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
	case isRefusal(err):
		return Result{Code: L6RSP, Detail: refusalOf(err)}
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
