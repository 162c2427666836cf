package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"mcplb/proxy/reactor"
)

// secureDialer opens TLS connections. crypto/tls wants to block, so each has
// two goroutines and a pair of sockets of its own that carry plain bytes
// between it and the event loop: some 40 KB and three descriptors a client. That is
// the generator's cost, not the balancer's; for very many clients use the
// kinds without TLS.
type secureDialer struct {
	config  *tls.Config
	running context.Context // done: everything is given up
	stop    context.CancelFunc
	working sync.WaitGroup
}

// newSecureDialer returns a dialer that trusts the certificates of a file, the
// system's when it is "", or, with insecure, every certificate.
func newSecureDialer(authority, name string, insecure bool) (*secureDialer, error) {
	d := &secureDialer{config: &tls.Config{ServerName: name, InsecureSkipVerify: insecure, ClientSessionCache: tls.NewLRUClientSessionCache(64)}}
	if authority != "" {
		text, err := os.ReadFile(authority)
		if err != nil {
			return nil, fmt.Errorf("read the certificates of -ca: %w", err)
		}
		d.config.RootCAs = x509.NewCertPool()
		if !d.config.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("-ca %s: there is no certificate in it", authority)
		}
	}
	d.running, d.stop = context.WithCancel(context.Background())
	return d, nil
}

// secure begins a TLS connection for a wire, which sees plain bytes.
func (w *worker) secure(wire *wire) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		wire.client.lose("connect: " + err.Error())
		return
	}
	file := os.NewFile(uintptr(pair[1]), "plain")
	far, err := net.FileConn(file)
	file.Close()
	if err != nil {
		unix.Close(pair[0])
		wire.client.lose("connect: " + err.Error())
		return
	}
	conn, errno := w.loop.Adopt(pair[0], &handshaking{wire})
	if errno != 0 {
		far.Close()
		wire.client.lose("connect: " + errno.Error())
		return
	}
	wire.conn = conn
	target, source, client := w.targets[wire.client.kind], wire.client.source(), wire.client
	w.dialer.working.Go(func() {
		defer far.Close()
		secured, err := w.dialer.dial(target, source)
		if posted := w.loop.Post(func() {
			switch {
			case wire.conn != conn: // given up meanwhile
			case err != nil:
				client.lose("connect: " + reasonOf(err))
			default:
				conn.SetHandler(wire)
				conn.RetryRead()
			}
		}); err != nil || !posted {
			return
		}
		w.dialer.bridge(secured, far)
	})
}

// handshaking keeps a wire quiet until its connection is secured.
type handshaking struct{ wire *wire }

// Ready implements reactor.Handler.
func (h *handshaking) Ready(*reactor.Conn) {}

func (d *secureDialer) dial(target netip.AddrPort, source netip.Addr) (*tls.Conn, error) {
	dialer := tls.Dialer{Config: d.config, NetDialer: &net.Dialer{KeepAlive: -1}}
	if source.IsValid() {
		dialer.NetDialer.LocalAddr = &net.TCPAddr{IP: source.AsSlice()}
	}
	conn, err := dialer.DialContext(d.running, "tcp", target.String())
	if err != nil {
		return nil, err
	}
	return conn.(*tls.Conn), nil
}

// bridge copies both ways until either side ends.
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

// copyBytes copies until the source ends or either side breaks: which of it,
// the other half of the bridge sees.
func copyBytes(to io.Writer, from io.Reader) {
	_, _ = io.CopyBuffer(struct{ io.Writer }{to}, struct{ io.Reader }{from}, make([]byte, 4<<10))
}

// close gives everything up and waits for its end.
func (d *secureDialer) close() {
	d.stop()
	d.working.Wait()
}

// reasonOf is an error without the addresses, so that equal ones are counted
// together.
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
