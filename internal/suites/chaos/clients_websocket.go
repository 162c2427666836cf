package main

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"

	"github.com/coder/websocket"
)

// exchange sends WebSocket messages and expects each back.
func (c *client) exchange(ctx context.Context, secure bool) error {
	patient, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	var raw net.Conn
	dial := func(_ context.Context, _, _ string) (conn net.Conn, err error) {
		raw, err = c.dialHTTP(secure)
		return raw, err
	}
	transport := &http.Transport{DialContext: dial, DialTLSContext: dial, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	defer transport.CloseIdleConnections()
	conn, _, err := websocket.Dial(patient, "ws://chaos/ws", &websocket.DialOptions{HTTPClient: &http.Client{Transport: transport}})
	if err != nil {
		return err
	}
	defer conn.CloseNow()
	conn.SetReadLimit(-1)
	for n := range 1 + c.random.IntN(60) {
		if ctx.Err() != nil {
			break
		}
		message := c.message(n)
		if err := conn.Write(patient, websocket.MessageText, []byte(message)); err != nil {
			return err
		}
		if c.aborts(raw) {
			return errAborted
		}
		_, got, err := conn.Read(patient)
		if err != nil {
			return err
		}
		if string(got) != message {
			return wrong("WebSocket message", string(got), message)
		}
	}
	_ = conn.Close(websocket.StatusNormalClosure, "") // the peer may answer after the balancer has closed
	return nil
}
