//go:build linux

package reactor

import (
	"os"

	"golang.org/x/sys/unix"
)

// How long a listener retires, in nanoseconds.
const (
	retireTime    = 1e9  // the longest round trip of a client whose handshake is under way
	maxRetireTime = 10e9 // if clients still wait because MayAccept is false
)

// Retire closes the listener without resetting any client. Once it returns, no
// client can begin to connect (a new client is refused when the socket is
// closed); those that have begun are accepted, and one second later the socket
// is closed. It must not be called from a loop; it does nothing once the
// listener is closed.
func (l *Listener) Retire() {
	done := make(chan struct{})
	posted := l.loop.Post(func() {
		defer close(done)
		if l.conn == nil || l.retirement.Armed() {
			return
		}
		if err := dropSYN(int(l.conn.fd)); err != nil {
			l.acceptBacklog()
			l.close()
			return
		}
		l.retireDeadline = l.loop.now + maxRetireTime
		l.loop.Arm(&l.retirement, l, l.loop.now+retireTime)
	})
	if posted {
		<-done
	}
}

// retirementOver closes the listener, unless clients wait that MayAccept does
// not admit yet.
func (l *Listener) retirementOver() {
	if !l.handler.MayAccept() && l.loop.now < l.retireDeadline {
		l.loop.Arm(&l.retirement, l, l.loop.now+retireTime)
		return
	}
	l.acceptBacklog()
	l.close()
}

// CancelRetire undoes Retire, and reports whether the listener is open. It must
// not be called from a loop.
func (l *Listener) CancelRetire() bool {
	open := make(chan bool, 1)
	posted := l.loop.Post(func() {
		if l.conn != nil {
			l.loop.Disarm(&l.retirement)
			// It fails if there is no filter, which is fine.
			_ = unix.SetsockoptInt(int(l.conn.fd), unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0)
		}
		open <- l.conn != nil
	})
	return posted && <-open
}

// dropSYN makes the kernel drop packets that would begin a connection to a
// listening socket (SYN without ACK; the flags are the byte at offset 13 of the
// TCP header) and pass those that complete one: socket(7), SO_ATTACH_FILTER.
func dropSYN(fd int) error {
	const flags, syn, ack = 13, 0x02, 0x10
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: flags},
		{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: syn | ack},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: syn, Jt: 0, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},
		{Code: unix.BPF_RET | unix.BPF_K, K: 1<<32 - 1},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	return os.NewSyscallError("setsockopt", unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &program))
}
