package proxy

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"mcplb/internal/endpoint"

	"golang.org/x/sys/unix"
)

// namespace is a network of its own, behind a link to this machine, from which what
// it sends can be lost without a trace.
type namespace struct {
	t            *testing.T
	name         string
	here, inside string // addresses of the link's ends
}

// newNamespace makes a namespace; number tells those of a test apart. The test is
// skipped where that is not allowed.
func newNamespace(t *testing.T, number int) *namespace {
	t.Helper()
	n := &namespace{t: t, name: fmt.Sprintf("mcplbka%d-%d", os.Getpid()%100_000, number)}
	n.here, n.inside = fmt.Sprintf("10.213.%d.1", number), fmt.Sprintf("10.213.%d.2", number)
	link := fmt.Sprintf("mka%d-%d", os.Getpid()%100_000, number)
	if out, err := exec.Command("ip", "netns", "add", n.name).CombinedOutput(); err != nil {
		t.Skipf("network namespaces need root and iproute2: %v: %s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", n.name).Run() }) // the link goes with it
	for _, command := range []string{
		"link add " + link + " type veth peer name eth0 netns " + n.name,
		"address add " + n.here + "/30 dev " + link,
		"link set " + link + " up",
		"-n " + n.name + " address add " + n.inside + "/30 dev eth0",
		"-n " + n.name + " link set eth0 up",
	} {
		if out, err := exec.Command("ip", strings.Fields(command)...).CombinedOutput(); err != nil {
			t.Skipf("ip %s: %v: %s", command, err, out)
		}
	}
	return n
}

// cut loses all that the namespace sends; join ends that.
func (n *namespace) cut()  { n.route("add") }
func (n *namespace) join() { n.route("del") }

func (n *namespace) route(verb string) {
	n.t.Helper()
	if out, err := exec.Command("ip", "-n", n.name, "route", verb, "blackhole", n.here+"/32").CombinedOutput(); err != nil {
		n.t.Fatalf("%v: %s", err, out)
	}
}

// enter runs f on a thread in the namespace: the sockets that it opens stay there.
func (n *namespace) enter(f func() error) {
	n.t.Helper()
	failed := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		file, err := os.Open("/run/netns/" + n.name)
		if err == nil {
			err = unix.Setns(int(file.Fd()), unix.CLONE_NEWNET)
			file.Close()
		}
		if err == nil {
			err = f()
		}
		failed <- err
	}()
	if err := <-failed; err != nil {
		n.t.Fatal(err)
	}
}

// dial connects from the namespace.
func (n *namespace) dial(port string) (c net.Conn) {
	n.t.Helper()
	n.enter(func() (err error) {
		c, err = net.DialTimeout("tcp", net.JoinHostPort(n.here, port), endpoint.Patience)
		return err
	})
	n.t.Cleanup(func() { c.Close() })
	return c
}

// listen listens in the namespace.
func (n *namespace) listen() (l net.Listener) {
	n.t.Helper()
	n.enter(func() (err error) {
		l, err = net.Listen("tcp", net.JoinHostPort(n.inside, "0"))
		return err
	})
	n.t.Cleanup(func() { l.Close() })
	return l
}

// listenIn listens in the namespace, or on this machine.
func listenIn(n *namespace, inside bool) net.Listener {
	n.t.Helper()
	if inside {
		return n.listen()
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { l.Close() })
	return l
}

// accepted returns the next connection of l that says hello: health checks say nothing.
func accepted(t *testing.T, l net.Listener) net.Conn {
	t.Helper()
	for {
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetReadDeadline(time.Now().Add(endpoint.Patience))
		if p := make([]byte, 5); read(c, p) {
			return c
		}
	}
}

// read reports whether it has read p.
func read(c net.Conn, p []byte) bool {
	_, err := io.ReadFull(c, p)
	return err == nil
}

// doAt does something at a time after start, and returns how late it was.
func doAt(start time.Time, when time.Duration, do func()) time.Duration {
	time.Sleep(time.Until(start.Add(when)))
	do()
	return time.Since(start) - when
}

// endOf returns how long after start a connection ends, waiting for it up to most; 0 = it
// lives on.
func endOf(c net.Conn, start time.Time, most time.Duration) <-chan time.Duration {
	result := make(chan time.Duration, 1)
	c.SetReadDeadline(start.Add(most))
	go func() {
		_, err := io.Copy(io.Discard, c)
		if os.IsTimeout(err) {
			result <- 0
			return
		}
		result <- time.Since(start)
	}()
	return result
}

// A client or server that vanishes while nothing is sent is noticed after three lost
// probes, one that loses two of three stays, and data that nobody acknowledges end a
// connection after timeout_tcp_user, also where it was idle before. Otherwise a dead
// client holds its slot for the idle time, or a packet lost costs a session, as it does
// where TCP_USER_TIMEOUT is set for good.
func TestKeepAlive(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes half a minute")
	}
	t.Parallel()
	const first, interval = 12 * time.Second, 2 * time.Second // the third probe is unanswered at 18 s
	for number, tc := range []struct {
		name   string
		server bool          // it vanishes, not the client
		cut    time.Duration // when
		join   time.Duration // 0 = never
		data   time.Duration // when the other side sends; 0 = never
		ends   bool
		from   time.Duration // the earliest
		to     time.Duration // the latest, on a busy machine
	}{
		{name: "the client vanishes", cut: time.Second, ends: true, from: first + 2*interval, to: 40 * time.Second},
		{name: "the server vanishes", server: true, cut: time.Second, ends: true, from: first + 2*interval, to: 40 * time.Second},
		{name: "the client loses two probes of three", cut: time.Second, join: first + interval + time.Second},
		{name: "the server loses two probes of three", server: true, cut: time.Second, join: first + interval + time.Second},
		{name: "the client vanishes, and data are sent", cut: 9 * time.Second, data: 10 * time.Second, ends: true, from: 11 * time.Second, to: 30 * time.Second},
		{name: "the server vanishes, and data are sent", server: true, cut: 9 * time.Second, data: 10 * time.Second, ends: true, from: 11 * time.Second, to: 30 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			n := newNamespace(t, 10+number)
			listener := listenIn(n, tc.server)
			r := start(t, frontendText("f", "0.0.0.0:0", "tcp", "b", `keepalive = "12s"`, `timeout_half_closed = "1s"`)+
				backendText("b", []string{listener.Addr().String()}, `keepalive = "12s"`, `timeout_tcp_user = "2s"`, `on_down = "keep"`, "check = { interval = \"1h\" }"))
			_, port, _ := net.SplitHostPort(r.address("f"))
			var client net.Conn
			if tc.server {
				var err error
				if client, err = net.Dial("tcp", net.JoinHostPort("127.0.0.1", port)); err != nil {
					t.Fatal(err)
				}
				defer client.Close()
			} else {
				client = n.dial(port)
			}
			fmt.Fprint(client, "hello")
			server := accepted(t, listener)
			begin := time.Now()
			fmt.Fprint(server, "hello")
			if !read(client, make([]byte, 5)) {
				t.Fatal("no answer")
			}
			lives := server // the end that stays sees the connection end
			if tc.server {
				lives = client
			}
			most := first + 4*interval
			if tc.ends {
				most = tc.to
			}
			ended := endOf(lives, begin, most)
			late := doAt(begin, tc.cut, n.cut)
			if tc.join > 0 {
				late = max(late, doAt(begin, tc.join, n.join))
			}
			if tc.data > 0 {
				late = max(late, doAt(begin, tc.data, func() { fmt.Fprint(lives, "data") }))
			}
			if late > interval/4 {
				client.Close()
				server.Close()
				<-ended
				t.Skipf("the machine is so busy that the network was cut or joined %v too late", late)
			}
			switch at := <-ended; {
			case !tc.ends && at != 0:
				t.Errorf("the connection ended after %v", at)
			case tc.ends && (at == 0 || at < tc.from):
				t.Errorf("the connection ended after %v, want from %v to %v", at, tc.from, tc.to)
			default:
				t.Logf("ended after %v", at)
			}
			client.Close()
			server.Close()
			r.eventually("the client has gone", func() bool { return r.frontend("f").Connections.Current == 0 })
		})
	}
}
