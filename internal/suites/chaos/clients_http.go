package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
)

// request sends requests on one connection, one after the other.
func (c *client) request(ctx context.Context, secure bool) error {
	conn, err := c.dialHTTP(secure)
	if err != nil {
		return err
	}
	defer conn.Close()
	reader := bufio.NewReader(conn)
	for n := range 1 + c.random.IntN(40) {
		if ctx.Err() != nil {
			return nil
		}
		again, err := c.ask(conn, reader, n)
		if err != nil || !again {
			return err
		}
		if c.aborts(conn) {
			return errAborted
		}
	}
	return nil
}

// ask sends one request and checks its response. again reports whether the
// connection may be used for another.
func (c *client) ask(conn net.Conn, reader *bufio.Reader, n int) (again bool, err error) {
	path := "/echo"
	if !c.calm {
		path = []string{"/echo", "/echo", "/echo", "/early", "/cut"}[c.random.IntN(5)]
	}
	head, body, text := c.compose(path, n)
	for _, piece := range []string{head, body} {
		if c.aborts(conn) {
			return false, errAborted
		}
		if _, err := io.WriteString(conn, piece); err != nil {
			break // a response may have come before
		}
	}
	return c.check(reader, path, n, text)
}

// compose returns a request: its head, its body in chunks or with a length, and the
// text in it.
func (c *client) compose(path string, n int) (head, body, text string) {
	head = fmt.Sprintf("POST %s HTTP/1.1\r\nHost: chaos\r\nContent-Type: application/json\r\n%s: %s\r\n", path, identityHeader, c.identity(n))
	text = c.message(n)
	if c.random.IntN(2) == 0 {
		return head + fmt.Sprintf("Content-Length: %d\r\n\r\n", len(text)), text, text
	}
	part := c.random.IntN(len(text)-1) + 1
	body = fmt.Sprintf("%x\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n", part, text[:part], len(text)-part, text[part:])
	return head + "Transfer-Encoding: chunked\r\n\r\n", body, text
}

// check reads a response, and reports whether the connection may be used again.
func (c *client) check(reader *bufio.Reader, path string, n int, sent string) (again bool, err error) {
	if _, err := reader.Peek(1); err != nil {
		return false, fmt.Errorf("unanswered: %w", err)
	}
	response, err := http.ReadResponse(reader, &http.Request{Method: http.MethodPost})
	if err != nil {
		return false, err
	}
	return c.checkResponse(response, path, n, sent)
}

// checkResponse reads the body of a response, and reports whether the connection may be
// used again.
func (c *client) checkResponse(response *http.Response, path string, n int, sent string) (again bool, err error) {
	body, err := io.ReadAll(response.Body)
	if path == "/cut" && response.StatusCode == http.StatusBadGateway {
		return false, nil // it was cut before its head had left the server
	}
	if response.StatusCode >= 400 {
		return false, fmt.Errorf("%s: %.200s", response.Status, body)
	}
	if got, want := response.Header.Get(identityHeader), c.identity(n); got != want {
		return false, wrong("identity of the response", got, want)
	}
	switch {
	case path == "/cut" && err == nil:
		return false, fmt.Errorf("%w: a cut response looks complete", errWrong)
	case path == "/cut":
		return false, nil
	case err != nil:
		return false, err
	case digest(body) != response.Header.Get(digestHeader):
		return false, fmt.Errorf("%w: the body is not what the server sent", errWrong)
	case path == "/echo" && string(body) != sent:
		return false, wrong("body", string(body), sent)
	}
	return !response.Close, nil
}

// pipeline sends several requests at once.
func (c *client) pipeline(context.Context) error {
	conn, err := c.dialHTTP(false)
	if err != nil {
		return err
	}
	defer conn.Close()
	var all bytes.Buffer
	var sent []string
	for n := range 1 + c.random.IntN(8) {
		text := c.message(n)
		fmt.Fprintf(&all, "POST /echo HTTP/1.1\r\nHost: chaos\r\n%s: %s\r\nContent-Length: %d\r\n\r\n%s", identityHeader, c.identity(n), len(text), text)
		sent = append(sent, text)
	}
	go func() { _, _ = conn.Write(all.Bytes()) }() // ends with conn; the responses tell whether it arrived
	reader := bufio.NewReader(conn)
	for n, text := range sent {
		if c.aborts(conn) {
			return errAborted
		}
		again, err := c.check(reader, "/echo", n, text)
		if err != nil {
			return err
		}
		if !again {
			return nil // the rest may be sent again on another connection
		}
	}
	return nil
}

// listen reads an event stream to its end, or leaves before.
func (c *client) listen(ctx context.Context) error {
	conn, err := c.dialHTTP(false)
	if err != nil {
		return err
	}
	defer conn.Close()
	most := 1 + c.random.IntN(150)
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: chaos\r\n%s: %s\r\n\r\n", c.eventPath(most), identityHeader, c.identity(0)); err != nil {
		return err
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return err
	}
	return c.readEvents(ctx, conn, response, 0, most)
}

// eventPath is the path of so many events, which the server may compress unasked.
func (c *client) eventPath(most int) string {
	path := fmt.Sprint("/events?of=", most)
	if c.random.IntN(2) == 0 {
		path += "&coding=gzip"
	}
	return path
}

// readEvents reads the event stream of a request to its end, or ends the connection before.
func (c *client) readEvents(ctx context.Context, conn net.Conn, response *http.Response, request, most int) error {
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("event stream: %s", response.Status)
	}
	events := bufio.NewReader(response.Body)
	for n := range most {
		if ctx.Err() != nil {
			return nil
		}
		if c.aborts(conn) {
			return errAborted
		}
		want := event(c.identity(request), n)
		got := make([]byte, len(want))
		read, err := io.ReadFull(events, got)
		if string(got[:read]) != want[:read] {
			return wrong("event", string(got[:read]), want)
		}
		if err == io.EOF {
			return fmt.Errorf("%w: an event stream that is cut looks complete: %d events of %d", errWrong, n, most)
		}
		if err != nil {
			return err
		}
	}
	if _, err := events.ReadByte(); err != io.EOF {
		return fmt.Errorf("an event stream does not end: %v", err)
	}
	return nil
}
