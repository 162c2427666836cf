package discovery

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
)

// Kind is why a look-up failed.
type Kind string

// The kinds of failures. Of NoSuchName and NoAddress the name servers are sure; the
// others may pass.
const (
	NoSuchName    Kind = "no such host"      // NXDOMAIN
	NoAddress     Kind = "no address"        // the name exists, with none of the records asked for
	Timeout       Kind = "timeout"           // no name server answered in time
	ServerFailure Kind = "server failure"    // SERVFAIL, REFUSED and other codes, or an answer that makes no sense
	Unreachable   Kind = "unreachable"       // no name server can be reached
	NotAsked      Kind = "not looked up yet" // the caller's context ended first
)

// Error is why a look-up failed. It is the only error that a Resolver returns.
type Error struct {
	Name   string // as the caller gave it
	Kind   Kind
	Detail string // in an operator's words, without the name
}

// Error says what failed, without the name.
func (e *Error) Error() string { return e.Detail }

// KindOf returns why a look-up failed; "" if err is nil or of another type.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return ""
}

// certain reports whether another name server would say the same.
func (k Kind) certain() bool { return k == NoSuchName || k == NoAddress }

func failure(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Detail: fmt.Sprintf(format, args...)}
}

// socketFailure explains an error of a socket to a name server.
func socketFailure(ctx context.Context, server string, err error) *Error {
	var timeout net.Error
	var errno syscall.Errno
	switch {
	case ctx.Err() != nil:
		return failure(NotAsked, "no answer yet from %s", server)
	case errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return failure(Timeout, "the name server %s does not answer", server)
	case errors.As(err, &errno):
		return failure(Unreachable, "the name server %s cannot be reached: %s", server, errno.Error())
	}
	return failure(Unreachable, "the name server %s ends the connection without an answer", server)
}
