//go:build linux

package reactor

import (
	"math"
	"net/netip"
	"os"
	"strconv"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// System is the operating system as the engine sees it. It has a function for
// every call that can fail, so that a test can make it fail (short writes,
// EMFILE, ECONNABORTED). All calls bypass Go's scheduler, except EpollWait, the only one
// that may block. If a call returns an error other than 0, its other results mean
// nothing.
//
// A System is immutable once an engine uses it; Kernel returns the real one.
type System struct {
	Read        func(fd int, p []byte) (int, unix.Errno)                  // recv(2): fewer instructions than read(2)
	Peek        func(fd int, p []byte) (int, unix.Errno)                  // recv(2) with MSG_PEEK
	Discard     func(fd, most int) (int, unix.Errno)                      // recv(2) with MSG_TRUNC: bytes are discarded (tcp(7))
	Write       func(fd int, p []byte) (int, unix.Errno)                  // sendto(2) with MSG_NOSIGNAL
	Splice      func(from, to, n int) (int, unix.Errno)                   // splice(2), SPLICE_F_MOVE|SPLICE_F_NONBLOCK
	Pipe        func(size int) (r, w int, err unix.Errno)                 // pipe2(2), then F_SETPIPE_SZ
	ReadPipe    func(r int, p []byte) (int, unix.Errno)                   // read(2)
	Accept      func(fd int) (int, netip.AddrPort, unix.Errno)            // accept4(2), SOCK_NONBLOCK|SOCK_CLOEXEC
	Socket      func(family int) (int, unix.Errno)                        // socket(2), a non-blocking TCP socket
	Bind        func(fd int, address netip.AddrPort) unix.Errno           // bind(2)
	Connect     func(fd int, address netip.AddrPort) unix.Errno           // connect(2)
	SetOption   func(fd, level, option, value int) unix.Errno             // setsockopt(2)
	Reset       func(fd int) unix.Errno                                   // SO_LINGER {1, 0}: close sends RST
	Error       func(fd int) unix.Errno                                   // getsockopt(2), SO_ERROR
	LocalAddr   func(fd int) (netip.AddrPort, unix.Errno)                 // getsockname(2)
	State       func(fd int) (uint8, unix.Errno)                          // getsockopt(2), the first byte of TCP_INFO
	Unacked     func(fd int) (int, unix.Errno)                            // ioctl(2), SIOCOUTQ: bytes sent and not acknowledged
	Shutdown    func(fd int) unix.Errno                                   // shutdown(2), SHUT_WR
	Close       func(fd int) unix.Errno                                   // close(2)
	EpollAdd    func(epoll, fd int, event unix.EpollEvent) unix.Errno     // epoll_ctl(2), EPOLL_CTL_ADD
	EpollDelete func(epoll, fd int) unix.Errno                            // epoll_ctl(2), EPOLL_CTL_DEL
	EpollWait   func(epoll int, events []unix.EpollEvent, millis int) int // epoll_wait(2), for that long at the most; 0 = without blocking, -1 = without a limit
	Now         func() int64                                              // CLOCK_MONOTONIC in nanoseconds: the same in every process
}

// monotonicClock returns a function that returns CLOCK_MONOTONIC in
// nanoseconds: the clock that all processes on the machine share. It reads the
// clock through the runtime, without a system call, and adds the offset between
// the runtime's time and clock_gettime(2), measured once. The closest of
// several measurements counts, so that the result is accurate to a few
// microseconds even if the thread is preempted meanwhile.
func monotonicClock() func() int64 {
	start := time.Now()
	offset, closest := int64(0), time.Duration(math.MaxInt64)
	for range 8 {
		before := time.Since(start)
		absolute := clockGettime()
		after := time.Since(start)
		if after-before < closest {
			offset, closest = absolute-int64(before+after)/2, after-before
		}
	}
	return func() int64 { return offset + int64(time.Since(start)) }
}

func clockGettime() int64 {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return 0 // Linux always has this clock
	}
	return now.Nano()
}

// Kernel returns the real operating system.
func Kernel() *System {
	return &System{
		Read:        kernelRead,
		Peek:        kernelPeek,
		Discard:     kernelDiscard,
		Write:       kernelWrite,
		Splice:      kernelSplice,
		Pipe:        kernelPipe,
		ReadPipe:    kernelReadPipe,
		Accept:      kernelAccept,
		Socket:      kernelSocket,
		Bind:        kernelBind,
		Connect:     kernelConnect,
		SetOption:   kernelSetOption,
		Reset:       kernelReset,
		Error:       kernelError,
		LocalAddr:   kernelLocalAddr,
		State:       kernelState,
		Unacked:     kernelUnacked,
		Shutdown:    kernelShutdown,
		Close:       kernelClose,
		EpollAdd:    kernelEpollAdd,
		EpollDelete: kernelEpollDelete,
		EpollWait:   kernelEpollWait,
		Now:         monotonicClock(),
	}
}

func kernelRead(fd int, p []byte) (int, unix.Errno) {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), 0, 0, 0)
		if errno != unix.EINTR {
			return int(n), errno
		}
	}
}

func kernelReadPipe(r int, p []byte) (int, unix.Errno) {
	for {
		n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(r), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
		if errno != unix.EINTR {
			return int(n), errno
		}
	}
}

func kernelPeek(fd int, p []byte) (int, unix.Errno) {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), unix.MSG_PEEK, 0, 0)
		if errno != unix.EINTR {
			return int(n), errno
		}
	}
}

func kernelDiscard(fd, most int) (int, unix.Errno) {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), 0, uintptr(most), unix.MSG_TRUNC, 0, 0)
		if errno != unix.EINTR {
			return int(n), errno
		}
	}
}

func kernelWrite(fd int, p []byte) (int, unix.Errno) {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), unix.MSG_NOSIGNAL, 0, 0)
		if errno != unix.EINTR {
			return int(n), errno
		}
	}
}

func kernelSplice(from, to, n int) (int, unix.Errno) {
	for {
		moved, _, errno := unix.RawSyscall6(unix.SYS_SPLICE, uintptr(from), 0, uintptr(to), 0, uintptr(n), unix.SPLICE_F_MOVE|unix.SPLICE_F_NONBLOCK)
		if errno != unix.EINTR {
			return int(moved), errno
		}
	}
}

func kernelPipe(size int) (r, w int, err unix.Errno) {
	var fds [2]int
	if e := unix.Pipe2(fds[:], unix.O_NONBLOCK|unix.O_CLOEXEC); e != nil {
		return -1, -1, e.(unix.Errno)
	}
	// Past pipe-user-pages-soft the kernel refuses; the pipe works anyway.
	_, _ = unix.FcntlInt(uintptr(fds[1]), unix.F_SETPIPE_SZ, size)
	return fds[0], fds[1], 0
}

func kernelAccept(fd int) (int, netip.AddrPort, unix.Errno) {
	var raw unix.RawSockaddrInet6 // the larger of the two families
	size := uint32(unsafe.Sizeof(raw))
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_ACCEPT4, uintptr(fd), uintptr(unsafe.Pointer(&raw)), uintptr(unsafe.Pointer(&size)), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
		switch errno {
		case 0:
			return int(n), decode(&raw), 0
		case unix.EINTR:
		default:
			return -1, netip.AddrPort{}, errno
		}
	}
}

func kernelSocket(family int) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall(unix.SYS_SOCKET, uintptr(family), unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	return int(n), errno
}

func kernelBind(fd int, to netip.AddrPort) unix.Errno {
	raw, size := encode(to)
	_, _, errno := unix.RawSyscall(unix.SYS_BIND, uintptr(fd), uintptr(unsafe.Pointer(&raw)), size)
	return errno
}

func kernelConnect(fd int, to netip.AddrPort) unix.Errno {
	raw, size := encode(to)
	_, _, errno := unix.RawSyscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&raw)), size)
	return errno
}

func kernelSetOption(fd, level, option, value int) unix.Errno {
	v := int32(value)
	_, _, errno := unix.RawSyscall6(unix.SYS_SETSOCKOPT, uintptr(fd), uintptr(level), uintptr(option), uintptr(unsafe.Pointer(&v)), unsafe.Sizeof(v), 0)
	return errno
}

func kernelReset(fd int) unix.Errno {
	v := unix.Linger{Onoff: 1}
	_, _, errno := unix.RawSyscall6(unix.SYS_SETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_LINGER, uintptr(unsafe.Pointer(&v)), unsafe.Sizeof(v), 0)
	return errno
}

func kernelError(fd int) unix.Errno {
	var v int32
	size := uint32(unsafe.Sizeof(v))
	_, _, errno := unix.RawSyscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_ERROR, uintptr(unsafe.Pointer(&v)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return errno
	}
	return unix.Errno(v)
}

func kernelState(fd int) (uint8, unix.Errno) {
	var v [1]uint8
	size := uint32(len(v))
	_, _, errno := unix.RawSyscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.IPPROTO_TCP, unix.TCP_INFO, uintptr(unsafe.Pointer(&v)), uintptr(unsafe.Pointer(&size)), 0)
	return v[0], errno
}

func kernelUnacked(fd int) (int, unix.Errno) {
	var v int32
	_, _, errno := unix.RawSyscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCOUTQ, uintptr(unsafe.Pointer(&v)))
	return int(v), errno
}

func kernelLocalAddr(fd int) (netip.AddrPort, unix.Errno) {
	var raw unix.RawSockaddrInet6
	size := uint32(unsafe.Sizeof(raw))
	_, _, errno := unix.RawSyscall(unix.SYS_GETSOCKNAME, uintptr(fd), uintptr(unsafe.Pointer(&raw)), uintptr(unsafe.Pointer(&size)))
	if errno != 0 {
		return netip.AddrPort{}, errno
	}
	return decode(&raw), 0
}

func kernelShutdown(fd int) unix.Errno {
	_, _, errno := unix.RawSyscall(unix.SYS_SHUTDOWN, uintptr(fd), unix.SHUT_WR, 0)
	return errno
}

func kernelClose(fd int) unix.Errno {
	_, _, errno := unix.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0)
	return errno
}

func kernelEpollAdd(epoll, fd int, event unix.EpollEvent) unix.Errno {
	_, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(epoll), unix.EPOLL_CTL_ADD, uintptr(fd), uintptr(unsafe.Pointer(&event)), 0, 0)
	return errno
}

func kernelEpollDelete(epoll, fd int) unix.Errno {
	_, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(epoll), unix.EPOLL_CTL_DEL, uintptr(fd), 0, 0, 0)
	return errno
}

// kernelEpollWait does not repeat an interrupted wait: the next turn waits again.
func kernelEpollWait(epoll int, events []unix.EpollEvent, millis int) int {
	n, _, errno := unix.Syscall6(unix.SYS_EPOLL_PWAIT, uintptr(epoll), uintptr(unsafe.Pointer(unsafe.SliceData(events))), uintptr(len(events)), uintptr(millis), 0, 0)
	if errno != 0 {
		return 0
	}
	return int(n)
}

// decode reads a socket address of either family; for any other family it
// returns the invalid AddrPort. IPv4 clients of a dual-stack listener come out
// as IPv4. It omits the zone: an address with a zone matches no prefix.
func decode(raw *unix.RawSockaddrInet6) netip.AddrPort {
	switch raw.Family {
	case unix.AF_INET:
		four := (*unix.RawSockaddrInet4)(unsafe.Pointer(raw))
		return netip.AddrPortFrom(netip.AddrFrom4(four.Addr), swapPort(four.Port))
	case unix.AF_INET6:
		return netip.AddrPortFrom(netip.AddrFrom16(raw.Addr).Unmap(), swapPort(raw.Port))
	}
	return netip.AddrPort{}
}

// encode returns a socket address and its size. A zone must be the interface's
// number; any other zone is omitted, and where one is needed the kernel refuses
// the address.
func encode(to netip.AddrPort) (raw unix.RawSockaddrInet6, size uintptr) {
	if to.Addr().Is4() {
		four := (*unix.RawSockaddrInet4)(unsafe.Pointer(&raw))
		four.Family, four.Port, four.Addr = unix.AF_INET, swapPort(to.Port()), to.Addr().As4()
		return raw, unsafe.Sizeof(*four)
	}
	raw.Family, raw.Port, raw.Addr = unix.AF_INET6, swapPort(to.Port()), to.Addr().As16()
	if zone, err := strconv.ParseUint(to.Addr().Zone(), 10, 32); err == nil {
		raw.Scope_id = uint32(zone)
	}
	return raw, unsafe.Sizeof(raw)
}

// swapPort converts a port between host order and network order.
func swapPort(port uint16) uint16 {
	b := (*[2]byte)(unsafe.Pointer(&port))
	return uint16(b[0])<<8 | uint16(b[1])
}

// family returns the address family of a socket that connects to an address.
func family(to netip.Addr) int {
	if to.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// OpenFilesLimit raises the soft limit of open descriptors to the hard limit
// (RLIMIT_NOFILE, see getrlimit(2)) and returns it.
func OpenFilesLimit() (int, error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0, os.NewSyscallError("getrlimit RLIMIT_NOFILE", err)
	}
	if limit.Cur < limit.Max {
		limit.Cur = limit.Max
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			return 0, os.NewSyscallError("setrlimit RLIMIT_NOFILE", err)
		}
	}
	return int(min(limit.Cur, math.MaxInt)), nil
}
