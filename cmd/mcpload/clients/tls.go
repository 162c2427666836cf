package clients

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"mcplb/proxy/reactor"
)

// secureDialer opens TLS connections. crypto/tls blocks, so each connection has two
// goroutines and a pair of sockets that carries plain bytes to and from the event
// loop: about 40 KB and three descriptors per client. This is a cost of the clients,
// not of the balancer; use the kinds without TLS for very many clients.
type secureDialer struct {
	config  *tls.Config
	h2      *tls.Config     // offers HTTP/2
	running context.Context // when done, every connection is closed
	stop    context.CancelFunc
	working sync.WaitGroup
}

// newSecureDialer returns a dialer; nil means the default configuration.
func newSecureDialer(config *tls.Config) *secureDialer {
	if config == nil {
		config = &tls.Config{}
	}
	config = config.Clone()
	config.ClientSessionCache = tls.NewLRUClientSessionCache(64)
	d := &secureDialer{config: config, h2: config.Clone()}
	d.h2.NextProtos = []string{"h2"}
	d.h2.ClientSessionCache = tls.NewLRUClientSessionCache(64)
	d.running, d.stop = context.WithCancel(context.Background())
	return d
}

// dialSecure starts a TLS connection. The wire sees plain bytes.
func (w *wire) dialSecure() {
	conn, far, err := w.newPair()
	if err != nil {
		w.client.lose("connect: " + err.Error())
		return
	}
	w.conn = conn
	worker, client, target, source := w.client.worker, w.client, w.client.target(), w.client.source()
	config := worker.dialer.config
	if w.client.kind == H2 {
		config = worker.dialer.h2
	}
	worker.dialer.working.Go(func() {
		defer far.Close()
		secured, err := worker.dialer.dial(config, target, source)
		if posted := worker.loop.Post(func() {
			switch {
			case w.conn != conn: // abandoned meanwhile
			case err != nil:
				client.lose("connect: " + reasonOf(err))
			default:
				conn.SetHandler(w)
				conn.RetryRead()
			}
		}); err != nil || !posted {
			return
		}
		worker.dialer.bridge(secured, far)
	})
}

// newPair returns a pair of connected sockets, one of them on the wire's loop.
func (w *wire) newPair() (*reactor.Conn, net.Conn, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	file := os.NewFile(uintptr(pair[1]), "plain")
	far, err := net.FileConn(file)
	file.Close()
	if err != nil {
		unix.Close(pair[0])
		return nil, nil, err
	}
	conn, errno := w.client.worker.loop.Adopt(pair[0], handshaking{})
	if errno != 0 {
		far.Close()
		return nil, nil, errno
	}
	return conn, far, nil
}

// handshaking ignores the events of a connection until it is secured.
type handshaking struct{}

// Ready implements reactor.Handler.
func (handshaking) Ready(*reactor.Conn) {}

func (d *secureDialer) dial(config *tls.Config, target netip.AddrPort, source netip.Addr) (*tls.Conn, error) {
	dialer := tls.Dialer{Config: config, NetDialer: &net.Dialer{KeepAlive: -1}}
	if source.IsValid() {
		dialer.NetDialer.LocalAddr = &net.TCPAddr{IP: source.AsSlice()}
	}
	conn, err := dialer.DialContext(d.running, "tcp", target.String())
	if err != nil {
		return nil, err
	}
	secured := conn.(*tls.Conn)
	if len(config.NextProtos) > 0 && secured.ConnectionState().NegotiatedProtocol == "" {
		secured.Close()
		return nil, errNoHTTP2
	}
	return secured, nil
}

// errNoHTTP2 says that a server speaks no HTTP/2.
var errNoHTTP2 = errors.New("the server does not agree on h2")

// bridge copies in both directions until either side ends.
func (d *secureDialer) bridge(secured *tls.Conn, plain net.Conn) {
	defer context.AfterFunc(d.running, func() { secured.Close(); plain.Close() })()
	defer secured.Close()
	upward := make(chan struct{})
	go func() {
		defer close(upward)
		copyBytes(secured, plain)
		secured.Close()
	}()
	copyBytes(plain, secured)
	plain.Close()
	<-upward
}

// copyBytes copies until the source ends or either side breaks. The error does not
// matter: the other half of the bridge sees it, too.
func copyBytes(to io.Writer, from io.Reader) {
	_, _ = io.CopyBuffer(struct{ io.Writer }{to}, struct{ io.Reader }{from}, make([]byte, 4<<10))
}

// close closes every connection and waits for the goroutines.
func (d *secureDialer) close() {
	d.stop()
	d.working.Wait()
}

// reasonOf returns an error's text without addresses, so that equal errors are
// counted together.
func reasonOf(err error) string {
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	var call *os.SyscallError
	if errors.As(err, &call) {
		err = call.Err
	}
	return err.Error()
}
