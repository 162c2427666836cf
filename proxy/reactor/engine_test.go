package reactor

import (
	"errors"
	"io"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// openDescriptors counts the open descriptors of this process. Only tests that
// do not run in parallel may compare the numbers.
func openDescriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// TestStopReleasesEverything stops an engine with connections, a listener,
// lent pipes, parked bytes, posts and timers.
func TestStopReleasesEverything(t *testing.T) {
	socket := listenTCP(t, "127.0.0.1:0")
	before := openDescriptors(t)
	e, err := Start(3, 9, Kernel())
	if err != nil {
		t.Fatal(err)
	}
	clients := make(acceptances, 10)
	listener, err := e.Listen(socket, clients)
	if err != nil {
		t.Fatal(err)
	}
	var peers []io.Closer
	for _, l := range e.Loops() {
		near, far := tcpPair(t)
		peers = append(peers, far)
		busy := make(chan error, 1)
		l.Post(func() { busy <- makeBusy(l, near) })
		if err := <-busy; err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		peers = append(peers, dialN(t, socket, 1)[0])
		client := clients.next(t)
		client.loop.Post(func() { _, _ = client.loop.Adopt(client.fd, ignore) })
	}
	e.Stop()
	e.Stop()
	for _, peer := range peers {
		peer.Close()
	}
	// The listeners of tcpPair are still open.
	if left := openDescriptors(t) - before - 3; left != 0 {
		t.Errorf("%d descriptors were left open", left)
	}
	listener.Resume()
	listener.Close()
	if _, err := e.Listen(socket, clients); err == nil {
		t.Error("Listen on an engine that has stopped")
	}
	if left := openDescriptors(t) - before - 3; left != 0 {
		t.Errorf("%d descriptors were opened after the end", left)
	}
}

// makeBusy puts a connection on l that has bytes parked and a pipe with bytes
// in it, and a timer.
func makeBusy(l *Loop, fd int) error {
	c, errno := l.Adopt(fd, ignore)
	if errno != 0 {
		return errno
	}
	for c.Parked() == 0 {
		if errno := c.Send(l.Scratch()); errno != 0 {
			return errno
		}
	}
	pipe := l.Pipe()
	if pipe == nil || l.Pipe() == nil {
		return errors.New("no pipe")
	}
	if _, err := unix.Write(pipe.w, []byte("x")); err != nil {
		return err
	}
	pipe.held = 1
	l.Arm(&Timer{}, expirerFunc(func(*Timer) {}), l.Now()+1e15)
	return nil
}

// TestStartFails makes the last loop fail to open: the others are released.
func TestStartFails(t *testing.T) {
	before := openDescriptors(t)
	system := Kernel()
	added := 0
	system.EpollAdd = func(epoll, fd int, event unix.EpollEvent) unix.Errno {
		if added++; added == 3 {
			return unix.ENOSPC
		}
		return kernelEpollAdd(epoll, fd, event)
	}
	if _, err := Start(3, 0, system); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("Start: %v, want ENOSPC", err)
	}
	if left := openDescriptors(t) - before; left != 0 {
		t.Errorf("%d descriptors were left open", left)
	}
}

func TestListenFails(t *testing.T) {
	socket := listenTCP(t, "127.0.0.1:0")
	system := Kernel()
	added := 0
	system.EpollAdd = func(epoll, fd int, event unix.EpollEvent) unix.Errno {
		if added++; added == 2 {
			return unix.ENOSPC
		}
		return kernelEpollAdd(epoll, fd, event)
	}
	e, err := Start(1, 0, system)
	if err != nil {
		t.Fatal(err)
	}
	before := openDescriptors(t)
	if _, err := e.Listen(socket, unlimited()); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("Listen: %v, want ENOSPC", err)
	}
	if left := openDescriptors(t) - before; left != 0 {
		t.Errorf("%d descriptors were left open", left)
	}
	e.Stop()
	socket.Close()
	if _, err := e.Listen(socket, unlimited()); err == nil {
		t.Error("Listen on a closed socket")
	}
}

// TestChildrenInheritNothing checks every type of descriptor.
func TestChildrenInheritNothing(t *testing.T) {
	t.Parallel()
	l := newStepped(t, steppedSystem())
	socket := listenTCP(t, "127.0.0.1:0")
	g := unlimited()
	listener := listenStepped(t, l, socket, g)
	dialled, a := dial(t, l, DialOptions{To: addressOf(socket)})
	until(t, l, "both ends are open", func() bool { return a.done && len(g.accepted) == 1 })
	pipe := l.Pipe()
	for name, fd := range map[string]int{
		"epoll": l.epoll, "eventfd": l.wake, "listener": int(listener.conn.fd), "accepted": int(g.accepted[0].fd),
		"dialled": int(dialled.fd), "pipe r": pipe.r, "pipe w": pipe.w,
	} {
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("%s: descriptor flags %x, %v: want FD_CLOEXEC", name, flags, err)
		}
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); name != "epoll" && (err != nil || flags&unix.O_NONBLOCK == 0) {
			t.Errorf("%s: file flags %x, %v: want O_NONBLOCK", name, flags, err)
		}
	}
	l.ReturnPipe(pipe)
}

func TestEngineLoadAndClock(t *testing.T) {
	t.Parallel()
	e := startLoops(t, 3, Kernel())
	for i, l := range e.Loops() {
		l.AddLoad(i + 1)
	}
	if e.Load() != 6 {
		t.Errorf("the load of 1, 2 and 3 is %d", e.Load())
	}
	before := e.Now()
	onLoop := make(chan int64)
	e.Loops()[2].Post(func() { onLoop <- e.Loops()[2].Now() })
	if now := <-onLoop; now < before || now > e.Now() {
		t.Errorf("a loop's clock says %d, the engine's %d before and %d after", now, before, e.Now())
	}
}

// TestStopEndsConnections checks that peers of the remaining connections see
// the end.
func TestStopEndsConnections(t *testing.T) {
	e, err := Start(1, 0, Kernel())
	if err != nil {
		t.Fatal(err)
	}
	near, far := tcpPair(t)
	l := e.Loops()[0]
	l.Post(func() { _, _ = l.Adopt(near, ignore) })
	e.Stop()
	if n, err := far.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the peer read %d, %v; want the end", n, err)
	}
}
