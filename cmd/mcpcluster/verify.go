package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

const (
	attemptTimeout = time.Second // for one attempt to reach a member; for the next one twice as long, if it was too short
	attemptLongest = 16 * time.Second
	attemptPause   = 10 * time.Millisecond // between two attempts
	maxAnswer      = 64 << 10              // bytes of an answer that are read
)

// pingRequest is the request of the balancer's mcp check: MCP allows a ping before
// initialize.
const pingRequest = `{"jsonrpc":"2.0","id":1,"method":"ping"}` + "\n"

// poll makes attempts until one succeeds or ctx is done. Its error has the cause and
// the error of the last attempt.
func poll(ctx context.Context, attempt func(context.Context) error) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	timeout := attemptTimeout
	var last error
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w (last attempt: %w)", context.Cause(ctx), errOr(last, "none"))
		case <-timer.C:
		}
		attemptCtx, cancel := context.WithTimeout(ctx, timeout)
		err := attempt(attemptCtx)
		if attemptCtx.Err() != nil { // the machine may be busy
			timeout = min(2*timeout, attemptLongest)
		}
		cancel()
		if err == nil {
			return nil
		}
		if ctx.Err() == nil { // otherwise it is only the end of ctx
			last = err
		}
		timer.Reset(attemptPause)
	}
}

func errOr(err error, text string) error {
	if err == nil {
		return errors.New(text)
	}
	return err
}

// ping sends one MCP ping over raw TCP and expects its answer.
func ping(ctx context.Context, address string) error {
	conn, err := dial(ctx, address)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, pingRequest); err != nil {
		return fmt.Errorf("send a ping: %w", err)
	}
	line, err := bufio.NewReader(io.LimitReader(conn, maxAnswer)).ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("read the answer to a ping from %s: %w", address, err)
	}
	var answer struct {
		ID     int
		Result json.RawMessage
	}
	if err := json.Unmarshal(line, &answer); err != nil || answer.ID != 1 || answer.Result == nil {
		return fmt.Errorf("%s answers a ping with %.200q", address, line)
	}
	return nil
}

// dial connects; the connection fails at ctx's deadline.
func dial(ctx context.Context, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			conn.Close()
			return nil, err
		}
	}
	return conn, nil
}

// connects expects that a connection is accepted, and no more.
func connects(ctx context.Context, address string) error {
	conn, err := dial(ctx, address)
	if err != nil {
		return err
	}
	return conn.Close()
}

// healthy expects 200 from the health endpoint at an address.
func healthy(ctx context.Context, address string) error {
	response, err := get(ctx, "http://"+address+"/health")
	if err != nil {
		return err
	}
	return response.Body.Close()
}

// announces expects an HTTP+SSE service: a stream of events, the first of which is
// the address for messages.
func announces(ctx context.Context, address string) error {
	response, err := get(ctx, "http://"+address+"/mcp/sse")
	if err != nil {
		return err
	}
	defer response.Body.Close()
	line, err := bufio.NewReader(io.LimitReader(response.Body, maxAnswer)).ReadString('\n')
	if err != nil {
		return fmt.Errorf("read the first event of %s: %w", response.Request.URL, err)
	}
	if strings.TrimSpace(line) != "event: endpoint" {
		return fmt.Errorf("the first event of %s begins with %.200q", response.Request.URL, line)
	}
	return nil
}

// get expects 200. The caller closes the body, and with it the connection.
func get(ctx context.Context, url string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(response.Body, 200)) // only adds to the error
		response.Body.Close()
		return nil, fmt.Errorf("%s answers %s: %q", url, response.Status, body)
	}
	return response, nil
}

// reachable turns a listening address into one to connect to.
func reachable(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address // the attempt to connect reports what is wrong with it
	}
	switch host {
	case "", "0.0.0.0":
		host = "127.0.0.1"
	case "::":
		host = "::1"
	}
	return net.JoinHostPort(host, port)
}
