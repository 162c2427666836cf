//lint:file-ignore SA1019 sampling is deprecated together with the sessions, which are tested here

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// Clients of the official SDK open sessions from one address, without a cookie, under
// roundrobin, on four nodes. Each session stays on its node for calls, an event
// stream, a question that the node asks its client, and DELETE, while one node
// drains. When another node is killed, its clients are answered that their sessions
// are gone and open others. The other sessions continue and do not notice.
func TestHTTPSessionsStay(t *testing.T) {
	t.Parallel()
	sessions, calls := full(500, 60), full(20, 4)
	c := startClusterOf(t, "http", func(s *setup) {
		s.mode, s.backend, s.check = "http", "balance = 'roundrobin'", "type = 'http'"
		s.ratelimit = "connection_rate = 0\nmessage_rate = 0"
		s.tables = "[frontend.main.sticky]\ncookie = ''\n"
	})
	all := make([]*httpSession, sessions)
	nodes := make([]string, sessions)
	forEach(t, sessions, func(i int) (err error) {
		all[i], err = openHTTPSession(t, c.frontend)
		if err == nil {
			nodes[i] = all[i].node
		}
		return err
	})
	expectEven(t, nodes)
	forEach(t, sessions, func(i int) error { return all[i].use(calls / 2) })

	draining, dying := c.nodes[1], c.nodes[2]
	if status, _, stderr := mcplb("drain", "nodes/"+draining.name, "-admin", c.admin); status != 0 {
		t.Fatalf("drain: %s", stderr)
	}
	forEach(t, sessions, func(i int) error { return all[i].use(calls - calls/2) })
	forEach(t, 8, func(int) error {
		fresh, err := openHTTPSession(t, c.frontend)
		if err != nil {
			return err
		}
		if fresh.node == draining.name {
			t.Errorf("a new session was opened on %s while it drains", fresh.node)
		}
		return fresh.end()
	})

	died := c.kill(t, dying, all)
	c.expectReopened(t, dying, all)
	forEach(t, sessions, func(i int) error { return all[i].use(1) })
	forEach(t, sessions, func(i int) error { return all[i].end() })
	t.Logf("%d sessions: %d calls each on their own nodes, an answer to a node's question and DELETE; %d were on the node that was killed and opened others, no other noticed",
		sessions, calls, died)
}

// kill kills a node while the sessions of the other nodes make calls, and returns how
// many sessions the node had.
func (c *cluster) kill(t *testing.T, dying *node, all []*httpSession) (died int) {
	t.Helper()
	var calling sync.WaitGroup
	dead := make(chan struct{})
	for _, s := range all {
		if s.node == dying.name {
			s.gone.Store(true)
			died++
			continue
		}
		calling.Go(func() {
			for more := true; more; {
				select {
				case <-dead:
					more = false // one call after it
				default:
				}
				if err := s.use(1); err != nil {
					t.Errorf("a session of %s was affected: %v", s.node, err)
					return
				}
			}
		})
	}
	dying.signal(t, syscall.SIGKILL)
	<-dying.ended
	close(dead)
	calling.Wait()
	return died
}

// expectReopened checks that every session of a dead node is answered 404 with -32001,
// upon which clients initialize again, and opens another session on another node.
func (c *cluster) expectReopened(t *testing.T, dead *node, all []*httpSession) {
	t.Helper()
	forEach(t, len(all), func(i int) error {
		s := all[i]
		if s.node != dead.name {
			return nil
		}
		if err := s.expectGone(c.frontend); err != nil {
			return err
		}
		// The SDK returns the error of the answer, or of its event stream, which
		// ended before.
		_, err := callTool(s.ClientSession, &mcp.CallToolParams{Name: "whoami"})
		if err == nil || !strings.Contains(err.Error(), "session not found") {
			return fmt.Errorf("a session of the dead node ended with: %w", err)
		}
		s.Close()
		again, err := openHTTPSession(t, c.frontend)
		if err != nil {
			return err
		}
		if again.node == dead.name {
			return fmt.Errorf("a session was opened on %s, which is dead", dead.name)
		}
		all[i] = again
		return nil
	})
}

// httpSession is a session of the official SDK over Streamable HTTP, with its event
// stream. It records what happens on the wire.
type httpSession struct {
	*mcp.ClientSession
	node   string
	gone   atomic.Bool // its node is dead: errors are expected
	ending atomic.Bool
	next   http.RoundTripper

	mu      sync.Mutex
	failed  []string // guarded by mu: unexpected errors and answers
	streams int      // guarded by mu: event streams opened by GET
	deleted bool     // guarded by mu: DELETE was answered
}

func openHTTPSession(t *testing.T, address string) (*httpSession, error) {
	transport := &http.Transport{MaxIdleConnsPerHost: 1}
	t.Cleanup(transport.CloseIdleConnections)
	s := &httpSession{next: transport}
	client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, &mcp.ClientOptions{
		CreateMessageHandler: func(_ context.Context, request *mcp.CreateMessageRequest) (*mcp.CreateMessageResult, error) {
			question := request.Params.Messages[0].Content.(*mcp.TextContent).Text
			return &mcp.CreateMessageResult{Model: "test", Role: "assistant", Content: &mcp.TextContent{Text: question + " 42"}}, nil
		},
	})
	var err error
	s.ClientSession, err = client.Connect(context.Background(),
		&mcp.StreamableClientTransport{Endpoint: "http://" + address + "/mcp", HTTPClient: &http.Client{Transport: s}},
		&mcp.ClientSessionOptions{ProtocolVersion: "2025-11-25"})
	if err != nil {
		return nil, fmt.Errorf("opening a session: %w", err)
	}
	s.node = s.InitializeResult().ServerInfo.Title
	return s, nil
}

// RoundTrip implements http.RoundTripper.
func (s *httpSession) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := s.next.RoundTrip(request)
	switch {
	case err != nil:
		s.note(request, err.Error())
	case response.StatusCode >= 400:
		s.note(request, response.Status)
	case request.Method == http.MethodGet:
		s.mu.Lock()
		s.streams++
		s.mu.Unlock()
		response.Body = &watchedBody{response.Body, s, request}
	case request.Method == http.MethodDelete:
		s.mu.Lock()
		s.deleted = true
		s.mu.Unlock()
	}
	return response, err
}

// note records an event that must not happen while the session and its node live.
func (s *httpSession) note(request *http.Request, what string) {
	if s.gone.Load() || s.ending.Load() && request.Method == http.MethodGet {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed = append(s.failed, request.Method+": "+what)
}

// watchedBody is the event stream of a session, which must not end by itself.
type watchedBody struct {
	io.ReadCloser
	session *httpSession
	request *http.Request
}

func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.session.note(b.request, "the stream ended: "+err.Error())
	}
	return n, err
}

// use calls whoami some times, and the tool ask, with which the node asks the client.
func (s *httpSession) use(calls int) error {
	for range calls {
		name, err := callTool(s.ClientSession, &mcp.CallToolParams{Name: "whoami"})
		if err != nil {
			return err
		}
		if name != s.node {
			return fmt.Errorf("a session of %s was answered by %s", s.node, name)
		}
	}
	answer, err := callTool(s.ClientSession, &mcp.CallToolParams{Name: "ask", Arguments: map[string]any{"question": s.ID()}})
	if err != nil {
		return err
	}
	if answer != s.ID()+" 42" {
		return fmt.Errorf("the client's answer arrived as %q", answer)
	}
	return s.check()
}

// check returns an error if anything unexpected has happened to the session.
func (s *httpSession) check() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case len(s.failed) > 0:
		return fmt.Errorf("unexpected in a session of %s: %q", s.node, s.failed)
	case s.streams != 1:
		return fmt.Errorf("a session of %s opened %d event streams, want 1", s.node, s.streams)
	}
	return nil
}

// end ends the session by DELETE.
func (s *httpSession) end() error {
	s.ending.Store(true)
	if err := s.Close(); err != nil {
		return err
	}
	if err := s.check(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.deleted {
		return fmt.Errorf("DELETE of a session of %s was not answered", s.node)
	}
	return nil
}

// expectGone checks that a request of the session is answered as one whose server is
// gone.
func (s *httpSession) expectGone(address string) error {
	request, err := http.NewRequest(http.MethodPost, "http://"+address+"/mcp", strings.NewReader(pingLine))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json, text/event-stream")
	request.Header.Set("Mcp-Session-Id", s.ID())
	response, err := webClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	var answer struct {
		ID    int
		Error struct{ Code int }
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return fmt.Errorf("the answer to a lost session, of status %d: %w", response.StatusCode, err)
	}
	if response.StatusCode != http.StatusNotFound || answer.Error.Code != -32001 || answer.ID != 3 {
		return fmt.Errorf("a lost session was answered %d, %+v", response.StatusCode, answer)
	}
	return nil
}
