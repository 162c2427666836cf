package healthcheck

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"mcplb/conf"
)

// An MCP server over HTTP is asked for what costs it least (MCP 2026-07-28, basic/
// transports and server/discover). One that refuses that is of the era of sessions
// (2025-11-25, basic/lifecycle): it has to open a session, which is ended at once.
//
//	asked first        refused          next probe asks first
//	server/discover    initialize       initialize, if that gave a result
//	initialize         server/discover  server/discover, unless initialize gave a result
//
// So a server that is replaced by one of the other era passes the very same probe.

// question is a request that a server of one era answers.
type question struct {
	method  string
	body    string
	headers []conf.Header
	opens   bool // a session
}

const clientInfo = `{"name":"mcplb","version":"1"}`

// mcpAccepts are the header fields of every POST.
var mcpAccepts = []conf.Header{
	{Name: "Content-Type", Value: "application/json"},
	{Name: "Accept", Value: "application/json, text/event-stream"},
}

var discover = question{
	method: "server/discover",
	body: `{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",` +
		`"io.modelcontextprotocol/clientInfo":` + clientInfo + `,"io.modelcontextprotocol/clientCapabilities":{}}}}`,
	headers: append(mcpAccepts[:2:2],
		conf.Header{Name: "MCP-Protocol-Version", Value: "2026-07-28"},
		conf.Header{Name: "Mcp-Method", Value: "server/discover"}),
}

var initialize = question{
	method:  "initialize",
	body:    `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":` + clientInfo + `}}`,
	headers: mcpAccepts,
	opens:   true,
}

// How long a session that a probe has opened may take.
const (
	lateAnswer   = 5 * time.Second        // to be announced after the probe has ended
	endWithin    = 3 * time.Second        // to be ended
	restWithin   = 100 * time.Millisecond // to free the connection that announced it
	endsAtMost   = 2                      // requests to end it
	maxSessionID = 4 << 10                // bytes of its id
)

// probeMCPHTTP asks an MCP server over HTTP. Any JSON-RPC answer shows that it works, and
// so do 401 and 403. Sessions that the server opens are ended, after the result, and also
// if the server announces them only after ctx has ended. m may be nil.
func probeMCPHTTP(ctx context.Context, check conf.Check, to Address, m *memory) Result {
	if m == nil {
		m = &memory{endings: new(sync.WaitGroup)}
	}
	p := &mcpProbe{check: check, to: to, host: cmp.Or(check.Host, to.host(&check)), memory: m}
	results := make(chan Result, 1)
	m.endings.Go(func() {
		results <- p.ask(ctx)
		for _, s := range p.sessions {
			s.end()
		}
	})
	select {
	case result := <-results:
		return result
	case <-ctx.Done():
		return Result{Code: L7TOUT, Detail: "timed out waiting for an MCP answer"}
	}
}

// mcpProbe is one probe. One goroutine uses it.
type mcpProbe struct {
	check    conf.Check
	to       Address
	host     string
	memory   *memory
	sessions []*mcpSession // to be ended
}

// ask asks by the question that the server answered last, and then by the other.
func (p *mcpProbe) ask(ctx context.Context) Result {
	order := []*question{&discover, &initialize}
	if p.memory.initializes.Load() {
		order = []*question{&initialize, &discover}
	}
	var result Result
	for _, q := range order {
		var responded bool
		result, responded = p.put(ctx, q)
		if result.finding().alive() || !responded || ctx.Err() != nil {
			break
		}
	}
	return result
}

// put asks one question. responded reports whether there was an HTTP response: then
// another question may help.
func (p *mcpProbe) put(ctx context.Context, q *question) (result Result, responded bool) {
	conn, failure := dial(ctx, p.check, p.to)
	if conn == nil {
		return failure, false
	}
	late := time.Duration(0)
	if q.opens {
		late = lateAnswer
	}
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Now().Add(late)) })
	defer stop()
	r := request{method: http.MethodPost, path: p.check.Path, host: p.host, headers: q.headers, body: q.body}
	input := &boundedReader{reader: conn, left: maxHead}
	response, err := p.send(conn, input, &r)
	if err != nil {
		conn.Close()
		return headResult(err, input.err), false
	}
	if s := p.opened(conn, response); s == nil {
		defer conn.Close()
	}
	if stop(); ctx.Err() != nil {
		return Result{Code: L7TOUT, Detail: "timed out waiting for an answer to " + q.method}, true
	}
	defer endWith(ctx, conn)()
	input.left = maxCoded
	return p.judge(q, response), true
}

// send sends a request and reads the head of the response.
func (p *mcpProbe) send(conn net.Conn, input *boundedReader, r *request) (*http.Response, error) {
	if _, err := conn.Write(r.bytes(p.check.Headers)); err != nil {
		input.err = err
		return nil, err
	}
	return readFinal(bufio.NewReader(input), r.method)
}

// judge reads a response and returns the result.
func (p *mcpProbe) judge(q *question, response *http.Response) Result {
	status := response.StatusCode
	if status == http.StatusUnauthorized || status == http.StatusForbidden {
		p.memory.initializes.Store(false)
		return Result{Code: L7OK, Detail: fmt.Sprintf("HTTP status %d to %s: it works, and refuses this client", status, q.method)}
	}
	found, err := readReply(response)
	switch {
	case err != nil && isTimeout(err):
		return answerResult(err, "the answer to "+q.method)
	case err == nil:
		for _, s := range p.sessions {
			s.version = cmp.Or(s.version, found.version)
		}
		p.memory.initializes.Store(q.opens && !found.isError)
		if found.isError {
			return Result{Code: L7OK, Detail: q.method + " answered with an error"}
		}
		return Result{Code: L7OK, Detail: q.method + " answered"}
	case status/100 == 2:
		return Result{Code: L7RSP, Detail: fmt.Sprintf("no JSON-RPC answer to %s: %s", q.method, shorten(err.Error()))}
	}
	return Result{Code: L7STS, Detail: fmt.Sprintf("HTTP status %d to %s, and no JSON-RPC answer", status, q.method)}
}

// mcpSession is a session that a server has opened for a probe.
type mcpSession struct {
	probe    *mcpProbe
	id       string
	version  string // of the protocol, which the server chose; "" = unknown
	conn     net.Conn
	response *http.Response // which announced it, on conn
}

// opened returns the session that a response announces, or nil.
func (p *mcpProbe) opened(conn net.Conn, response *http.Response) *mcpSession {
	id := response.Header.Get("Mcp-Session-Id")
	if id == "" || len(id) > maxSessionID || strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return nil
	}
	s := &mcpSession{probe: p, id: id, conn: conn, response: response}
	p.sessions = append(p.sessions, s)
	return s
}

// end ends the session by DELETE: on its connection, if that is free, or else on another.
// Whatever the server answers will do: 405 says that it ends its sessions itself.
func (s *mcpSession) end() {
	defer s.conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), endWithin)
	defer cancel()
	if s.free() && s.delete(ctx, s.conn) {
		return
	}
	s.conn.Close()
	for range endsAtMost {
		conn, _ := dial(ctx, s.probe.check, s.probe.to)
		if conn == nil {
			return
		}
		done := s.delete(ctx, conn)
		if conn.Close(); done {
			return
		}
	}
}

// free reports whether the session's connection can have another request: its response
// is complete, and the server does not close it.
func (s *mcpSession) free() bool {
	if s.response.Close {
		return false
	}
	s.conn.SetDeadline(time.Now().Add(restWithin))
	n, err := io.Copy(io.Discard, io.LimitReader(s.response.Body, maxBody))
	return err == nil && n < maxBody
}

// delete asks for the end of the session and reports whether there was an answer.
func (s *mcpSession) delete(ctx context.Context, conn net.Conn) bool {
	conn.SetDeadline(time.Now().Add(endWithin))
	defer endWith(ctx, conn)()
	r := request{method: http.MethodDelete, path: s.probe.check.Path, host: s.probe.host, last: true,
		headers: []conf.Header{{Name: "Mcp-Session-Id", Value: s.id}}}
	if s.version != "" {
		r.headers = append(r.headers, conf.Header{Name: "MCP-Protocol-Version", Value: s.version})
	}
	_, err := s.probe.send(conn, &boundedReader{reader: conn, left: maxHead}, &r)
	return err == nil
}
