package main

import (
	"compress/gzip"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"time"

	"github.com/coder/websocket"
)

// nodeCommand makes this program a server: chaos node LINES-ADDRESS HTTP-ADDRESS DIRECTORY.
const nodeCommand = "node"

// Ports of a server; the secure ones speak TLS with the certificate of its directory.
const (
	linesPort       = 9001
	nodePort        = 9002
	secureLinesPort = 9003
	secureNodePort  = 9004
)

// digestHeader has the digest of the request's body, so that a response can be
// checked even if its body is cut.
const digestHeader = "X-Digest"

// serveNode echoes lines at the first address, and serves HTTP at the second, and both
// with TLS at other ports, until the process is killed.
func serveNode(args []string) error {
	if len(args) != 3 {
		return fmt.Errorf("got %d arguments, want 3", len(args))
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(args[2], "cert.pem"), filepath.Join(args[2], "key.pem"))
	if err != nil {
		return err
	}
	config := &tls.Config{Certificates: []tls.Certificate{pair}}
	host, _, err := net.SplitHostPort(args[0])
	if err != nil {
		return err
	}
	var listeners []net.Listener
	for _, address := range []string{args[0], fmt.Sprint(host, ":", secureLinesPort), fmt.Sprint(host, ":", secureNodePort), args[1]} {
		l, err := net.Listen("tcp", address)
		if err != nil {
			return err
		}
		listeners = append(listeners, l)
	}
	go echoLines(listeners[0])
	go echoLines(tls.NewListener(listeners[1], config))
	handler := nodeHandler()
	go func() { _ = http.Serve(tls.NewListener(listeners[2], config), handler) }()
	return http.Serve(listeners[3], handler)
}

func nodeHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/echo", echoBody)
	mux.HandleFunc("/early", answerEarly)
	mux.HandleFunc("/events", sendEvents)
	mux.HandleFunc("/ws", echoMessages)
	mux.HandleFunc("/cut", cutResponse)
	return mux
}

func echoLines(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			_, _ = io.Copy(conn, conn) // ends with the connection
		}()
	}
}

// identify copies the request's identity into the response.
func identify(w http.ResponseWriter, r *http.Request) {
	w.Header().Set(identityHeader, r.Header.Get(identityHeader))
}

func digest(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:8])
}

func echoBody(w http.ResponseWriter, r *http.Request) {
	identify(w, r)
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the balancer sees the cut
	}
	w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
	w.Header().Set(digestHeader, digest(body))
	_, _ = w.Write(body)
}

// answerEarly responds before it has read the request's body.
func answerEarly(w http.ResponseWriter, r *http.Request) {
	identify(w, r)
	w.Header().Set(digestHeader, digest(nil))
	w.WriteHeader(http.StatusAccepted)
}

// cutResponse promises more than it sends: the client must notice.
func cutResponse(w http.ResponseWriter, r *http.Request) {
	identify(w, r)
	body := []byte("the rest is missing")
	w.Header().Set(digestHeader, digest(body))
	w.Header().Set("Content-Length", strconv.Itoa(len(body)+10))
	_, _ = w.Write(body)
	panic(http.ErrAbortHandler)
}

// sendEvents sends numbered events, of=0 without an end, with coding=gzip compressed
// whether or not the client takes that: the balancer decodes them.
func sendEvents(w http.ResponseWriter, r *http.Request) {
	identify(w, r)
	most, _ := strconv.Atoi(r.FormValue("of"))
	w.Header().Set("Content-Type", "text/event-stream")
	out := eventWriter{Writer: w, response: w}
	if coding := r.FormValue("coding"); coding != "" {
		w.Header().Set("Content-Encoding", coding)
		out.zip = gzip.NewWriter(w)
		out.Writer = out.zip
		defer out.zip.Close()
	}
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for n := 0; most == 0 || n < most; n++ {
		if out.send(event(r.Header.Get(identityHeader), n)) != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-ticker.C:
		}
	}
}

// eventWriter sends events at once.
type eventWriter struct {
	io.Writer
	zip      *gzip.Writer // nil = they are not compressed
	response http.ResponseWriter
}

func (w eventWriter) send(text string) error {
	_, err := io.WriteString(w, text)
	if err == nil && w.zip != nil {
		err = w.zip.Flush()
	}
	return errors.Join(err, http.NewResponseController(w.response).Flush())
}

// event is number n of the stream of a client.
func event(identity string, n int) string { return fmt.Sprintf("data: %s %d\n\n", identity, n) }

func echoMessages(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer conn.CloseNow()
	conn.SetReadLimit(-1)
	for {
		kind, message, err := conn.Read(context.Background()) // until the balancer has closed
		if err != nil || conn.Write(context.Background(), kind, message) != nil {
			return
		}
	}
}
