package reactor

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestInterruptedCalls signals a thread repeatedly while it blocks in a call:
// the call never returns EINTR. Only for this test the sockets block, with a
// time limit, because otherwise the kernel would restart the call itself
// (signal(7)).
func TestInterruptedCalls(t *testing.T) {
	if runtime.GOMAXPROCS(0) < 2 {
		t.Skip("a blocked raw system call keeps the only processor")
	}
	if _, err := os.ReadFile("/proc/self/syscall"); err != nil {
		t.Skip("this kernel does not tell what a thread waits for: ", err)
	}
	// The garbage collector would wait for the thread in the raw call: finish
	// the current cycle, and begin no other.
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	runtime.GC()
	cases := map[string]struct {
		number int // of the system call
		call   func(fd int) (int, unix.Errno)
		other  func(t *testing.T, far int) // ends the wait
		full   bool                        // the socket takes no bytes at first
		want   int
	}{
		"read":  {number: unix.SYS_RECVFROM, call: func(fd int) (int, unix.Errno) { return kernelRead(fd, make([]byte, 9)) }, other: say, want: 2},
		"peek":  {number: unix.SYS_RECVFROM, call: func(fd int) (int, unix.Errno) { return kernelPeek(fd, make([]byte, 9)) }, other: say, want: 2},
		"write": {number: unix.SYS_SENDTO, call: func(fd int) (int, unix.Errno) { return kernelWrite(fd, []byte("abc")) }, other: drain, full: true, want: 3},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			near, far := socketPair(t)
			defer unix.Close(near)
			if c.full {
				fill(near)
			}
			block(t, near)
			n, errno := interrupted(t, c.number, func() { c.other(t, far) }, func() (int, unix.Errno) { return c.call(near) })
			if n != c.want || errno != 0 {
				t.Errorf("%d, %v; want %d", n, errno, c.want)
			}
		})
	}
	t.Run("accept", func(t *testing.T) {
		socket := listenTCP(t, "127.0.0.1:0")
		fd, err := duplicate(socket)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		block(t, fd)
		n, errno := interrupted(t, unix.SYS_ACCEPT4, func() { dialN(t, socket, 1) }, func() (int, unix.Errno) {
			client, _, errno := kernelAccept(fd)
			return client, errno
		})
		if errno != 0 {
			t.Fatal(errno)
		}
		unix.Close(n)
	})
}

func say(t *testing.T, far int) { sendAll(t, far, []byte("hi")) }

func drain(t *testing.T, far int) { receiveAll(t, far) }

// fill writes until the socket takes no more.
func fill(fd int) {
	p := make([]byte, ReadSize)
	for errno := unix.Errno(0); errno == 0; {
		_, errno = kernelWrite(fd, p)
	}
}

// block makes calls on fd block, for patience at most.
func block(t *testing.T, fd int) {
	t.Helper()
	limit := unix.NsecToTimeval(int64(patience))
	for _, option := range []int{unix.SO_RCVTIMEO, unix.SO_SNDTIMEO} {
		if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, option, &limit); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.SetNonblock(fd, false); err != nil {
		t.Fatal(err)
	}
}

// interrupted makes a call on a separate thread, signals the thread while it
// sleeps in the system call of that number, and then lets the call succeed.
func interrupted(t *testing.T, number int, succeed func(), call func() (int, unix.Errno)) (int, unix.Errno) {
	t.Helper()
	thread := make(chan int)
	var n int
	var errno unix.Errno
	done := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		thread <- unix.Gettid()
		n, errno = call()
		close(done)
	}()
	id := <-thread
	for range 20 {
		awaitCall(t, id, number)
		if err := unix.Tgkill(unix.Getpid(), id, unix.SIGURG); err != nil {
			t.Fatal(err)
		}
	}
	awaitCall(t, id, number)
	succeed()
	await(t, "the call has returned", done)
	return n, errno
}

// awaitCall waits until a thread of this process sleeps in a system call, as
// proc_pid_syscall(5) shows.
func awaitCall(t *testing.T, thread, number int) {
	t.Helper()
	path, want := fmt.Sprintf("/proc/self/task/%d/syscall", thread), []byte(fmt.Sprint(number, " "))
	for deadline := time.Now().Add(patience); ; runtime.Gosched() {
		got, err := os.ReadFile(path)
		switch {
		case err != nil:
			t.Fatal(err)
		case bytes.HasPrefix(got, want):
			return
		case time.Now().After(deadline):
			t.Fatalf("the thread does not sleep in system call %d: %s", number, got)
		}
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"127.0.0.1:1", "192.0.2.255:65535", "0.0.0.0:0", "[::1]:8080", "[2001:db8::ff]:443", "[fe80::1]:256",
	} {
		want := netip.MustParseAddrPort(text)
		raw, size := encode(want)
		if got := decode(&raw); got != want {
			t.Errorf("%v came back as %v", want, got)
		}
		if wantSize := map[bool]uintptr{true: unix.SizeofSockaddrInet4, false: unix.SizeofSockaddrInet6}[want.Addr().Is4()]; size != wantSize {
			t.Errorf("%v is %d bytes, want %d", want, size, wantSize)
		}
	}
	raw, _ := encode(netip.MustParseAddrPort("[::ffff:192.0.2.1]:80"))
	if got := decode(&raw); got != netip.MustParseAddrPort("192.0.2.1:80") {
		t.Errorf("a mapped address came back as %v, want IPv4", got)
	}
	for text, want := range map[string]uint32{"[fe80::1%7]:1": 7, "[fe80::1%eth0]:1": 0, "[fe80::1]:1": 0} {
		if raw, _ := encode(netip.MustParseAddrPort(text)); raw.Scope_id != want {
			t.Errorf("%s has scope %d, want %d", text, raw.Scope_id, want)
		}
	}
	if got := decode(&unix.RawSockaddrInet6{Family: unix.AF_UNIX}); got.IsValid() {
		t.Errorf("a Unix address came out as %v", got)
	}
}

func TestKernelPipe(t *testing.T) {
	t.Parallel()
	r, w, errno := kernelPipe(PipeSize)
	if errno != 0 {
		t.Fatal(errno)
	}
	defer unix.Close(r)
	defer unix.Close(w)
	// Past pipe-user-pages-soft the kernel gives less: any capacity will do.
	if n, err := unix.Write(w, make([]byte, 4096)); n != 4096 || err != nil {
		t.Errorf("%d bytes fit, %v", n, err)
	}
	if n, errno := kernelSplice(r, w, 1); n > 0 || errno != unix.EINVAL {
		t.Errorf("splice into itself: %d, %v; want EINVAL", n, errno)
	}
}

func TestKernelErrors(t *testing.T) {
	t.Parallel()
	p := make([]byte, 1)
	calls := map[string]func() unix.Errno{
		"read":      func() unix.Errno { _, errno := kernelRead(-1, p); return errno },
		"peek":      func() unix.Errno { _, errno := kernelPeek(-1, p); return errno },
		"write":     func() unix.Errno { _, errno := kernelWrite(-1, p); return errno },
		"splice":    func() unix.Errno { _, errno := kernelSplice(-1, -1, 1); return errno },
		"accept":    func() unix.Errno { _, _, errno := kernelAccept(-1); return errno },
		"address":   func() unix.Errno { _, errno := kernelLocalAddr(-1); return errno },
		"state":     func() unix.Errno { _, errno := kernelState(-1); return errno },
		"error":     func() unix.Errno { return kernelError(-1) },
		"reset":     func() unix.Errno { return kernelReset(-1) },
		"shutdown":  func() unix.Errno { return kernelShutdown(-1) },
		"close":     func() unix.Errno { return kernelClose(-1) },
		"epoll add": func() unix.Errno { return kernelEpollAdd(-1, -1, unix.EpollEvent{}) },
		"epoll del": func() unix.Errno { return kernelEpollDelete(-1, -1) },
	}
	for name, call := range calls {
		if errno := call(); errno != unix.EBADF {
			t.Errorf("%s of no descriptor: %v, want EBADF", name, errno)
		}
	}
	if _, errno := kernelSocket(-1); errno != unix.EAFNOSUPPORT {
		t.Errorf("a socket of no family: %v", errno)
	}
	if n := kernelEpollWait(-1, make([]unix.EpollEvent, 1), 0); n != 0 {
		t.Errorf("%d events without an epoll instance", n)
	}
}

func TestClock(t *testing.T) {
	t.Parallel()
	now := Kernel().Now
	first := now()
	for last := first; last < first+1e5; {
		next := now()
		if next < last {
			t.Fatalf("the clock went from %d to %d", last, next)
		}
		last = next
	}
}

// TestClockIsShared checks what a handover relies on: a time means the same in
// another process.
func TestClockIsShared(t *testing.T) {
	t.Parallel()
	const tolerance = 1e6 // nanoseconds: a system call, and preemption during the measurement
	one, other := Kernel().Now, Kernel().Now
	before := clockGettime()
	got := []int64{one(), other()}
	after := clockGettime()
	for _, now := range got {
		if now < before-tolerance || now > after+tolerance {
			t.Errorf("the clock says %d, CLOCK_MONOTONIC %d before and %d after", now, before, after)
		}
	}
}

func TestOpenFilesLimit(t *testing.T) {
	limit, err := OpenFilesLimit()
	if err != nil {
		t.Fatal(err)
	}
	var now unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &now); err != nil {
		t.Fatal(err)
	}
	if uint64(limit) != now.Cur || now.Cur != now.Max {
		t.Errorf("limit %d, but the kernel says %d of %d", limit, now.Cur, now.Max)
	}
}
