package main

import (
	"crypto/tls"
	"io"
	"net"
	"path/filepath"

	"mcplb/internal/certificate"
)

// terminator accepts TLS for a server that does not.
type terminator struct {
	listener net.Listener
	server   string // address
}

// terminators are those of a run's servers.
type terminators struct {
	all     []terminator
	trusted string // the file of the certificate with which all of them, and mcplb, answer
}

// foreignHost is the Host of the conformance suite's attack by DNS rebinding. Its client
// verifies the certificate for the Host that it sends.
const foreignHost = "evil.example.com"

// terminateAll starts a terminator for each server, and writes their certificate and its
// key to a directory, cert.pem and key.pem.
func terminateAll(servers []string, directory string) (*terminators, error) {
	if err := certificate.WriteSelfSigned(directory, "127.0.0.1", foreignHost); err != nil {
		return nil, err
	}
	t := &terminators{trusted: filepath.Join(directory, "cert.pem")}
	pair, err := tls.LoadX509KeyPair(t.trusted, filepath.Join(directory, "key.pem"))
	if err != nil {
		return nil, err
	}
	for _, server := range servers {
		listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}})
		if err != nil {
			t.close()
			return nil, err
		}
		one := terminator{listener: listener, server: server}
		t.all = append(t.all, one)
		go one.accept()
	}
	return t, nil
}

func (t *terminators) addresses() (all []string) {
	for _, one := range t.all {
		all = append(all, one.listener.Addr().String())
	}
	return all
}

// close accepts no more connections. Those that are open end with either side.
func (t *terminators) close() {
	for _, one := range t.all {
		one.listener.Close()
	}
}

func (t terminator) accept() {
	for {
		client, err := t.listener.Accept()
		if err != nil {
			return
		}
		go t.relay(client.(*tls.Conn))
	}
}

// relay passes bytes both ways. The server sees at once that the client has gone, and the
// client has everything before it sees the server's end.
func (t terminator) relay(client *tls.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", t.server)
	if err != nil {
		return
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_, _ = io.Copy(server, client) // how it ends is for the two sides to judge
		server.Close()
	}()
	_, _ = io.Copy(client, server)
	_ = client.CloseWrite()
	<-gone
}
