package l7

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mcplb/internal/endpoint"
	"mcplb/internal/harness"
)

// chaos sends requests that either side breaks off in every phase. Each has a unique id,
// from which its response is made: no client may receive another's response, or a part
// of one that looks complete.
type chaos struct {
	t         *testing.T
	sent      atomic.Int64 // ids used
	complete  atomic.Int64 // responses that were received completely
	generated atomic.Int64 // responses that the balancer generated
	cut       atomic.Int64 // exchanges that were broken off
	mu        sync.Mutex
	received  map[string]int // guarded by mu: POSTs that a server has read the head of
}

// payload returns the response to a request: different for every id, of any size.
func payload(id string) string {
	n, _ := strconv.Atoi(id)
	random := rand.New(rand.NewPCG(uint64(n), 1))
	return strings.Repeat(id+" ", 1+int(random.ExpFloat64()*2000)%40000)
}

// serve responds to the requests of one connection, until it breaks off.
func (x *chaos) serve(c *net.TCPConn) {
	r := bufio.NewReader(c)
	for {
		request, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		id := request.Header.Get("Id")
		if request.Method == "POST" {
			x.mu.Lock()
			x.received[id]++
			x.mu.Unlock()
		}
		early := rand.IntN(30) == 0
		if !early {
			body, err := io.ReadAll(request.Body)
			if err != nil {
				return
			}
			if want := "body of " + id; request.Method == "POST" && !strings.HasPrefix(string(body), want) {
				x.t.Errorf("the server received %.100q for %s", body, id)
			}
		}
		if !x.answer(c, request.Method, id) || early {
			return
		}
	}
}

// answer responds to a request in one of many ways, and reports whether the connection
// stays open.
func (x *chaos) answer(c *net.TCPConn, method, id string) bool {
	body := payload(id)
	var text string
	open := false
	switch kind := rand.IntN(6); {
	case method == "HEAD":
		text = fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", len(body))
	case kind < 2:
		media := []string{"text/event-stream", "application/json"}[kind]
		text = "HTTP/1.1 200 OK\r\nContent-Type: " + media + "\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(body[:len(body)/2]) + chunk(body[len(body)/2:]) + "0\r\n\r\n"
	case kind == 2:
		text, open = "HTTP/1.1 200 OK\r\n\r\n"+body, true
	case kind == 3:
		text = fmt.Sprintf("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	default:
		text = fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	}
	breaks := rand.IntN(8) == 0
	if breaks {
		text = text[:rand.IntN(len(text))]
	}
	for text != "" {
		n := min(1+rand.IntN(20000), len(text))
		if _, err := io.WriteString(c, text[:n]); err != nil {
			return false
		}
		text = text[n:]
	}
	switch {
	case breaks && (open || rand.IntN(2) == 0):
		_ = c.SetLinger(0) // RST: FIN would be the end of a response without a length
		return false
	case breaks || open:
		return false
	}
	return rand.IntN(10) != 0 // sometimes the connection ends in order, without notice
}

// client sends requests, one connection after the other, until all ids are used.
func (x *chaos) client(address string, most int64) {
	for x.sent.Load() < most {
		c, err := net.DialTimeout("tcp", address, endpoint.Patience)
		if err != nil {
			x.t.Error(err)
			return
		}
		_ = c.SetDeadline(time.Now().Add(endpoint.Patience))
		x.converse(c.(*net.TCPConn), most)
	}
}

// converse sends requests, some of them pipelined, and checks the responses.
func (x *chaos) converse(c *net.TCPConn, most int64) {
	defer c.Close()
	r := bufio.NewReader(c)
	for x.sent.Load() < most {
		var ids, methods []string
		var text strings.Builder
		for range 1 + rand.IntN(3) {
			id := strconv.FormatInt(x.sent.Add(1), 10)
			one := request(id)
			method, _, _ := strings.Cut(one, " ")
			ids, methods = append(ids, id), append(methods, method)
			text.WriteString(one)
		}
		all := text.String()
		breaks := rand.IntN(8) == 0
		if breaks {
			all = all[:rand.IntN(len(all))]
		}
		for rest := all; rest != ""; {
			n := min(1+rand.IntN(2000), len(rest))
			if _, err := io.WriteString(c, rest[:n]); err != nil {
				x.failed(err) // a read might not report that the connection is broken
				return
			}
			rest = rest[n:]
		}
		if breaks {
			x.cut.Add(1)
			if rand.IntN(2) == 0 {
				_ = c.SetLinger(0)
			}
			return
		}
		for i, id := range ids {
			if !x.listen(c, r, methods[i], id) {
				return
			}
		}
	}
}

// request returns a request of a random kind.
func request(id string) string {
	body := "body of " + id + strings.Repeat(".", rand.IntN(3000))
	switch rand.IntN(7) {
	case 0:
		return get("/", "Id: "+id)
	case 3:
		return get("/", "Id: "+id, "Accept-Encoding: gzip")
	case 4:
		return "HEAD / HTTP/1.1\r\nHost: x\r\nId: " + id + "\r\n\r\n"
	case 5:
		return post("/", body, "Id: "+id, "Expect: 100-continue")
	case 1:
		return "POST / HTTP/1.1\r\nHost: x\r\nId: " + id + "\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(body) + "0\r\n\r\n"
	case 2:
		return get("/", "Id: "+id, "Accept-Encoding: identity", "Mcp-Session-Id: "+id)
	}
	return post("/", body, "Id: "+id)
}

// listen receives the response to a request, and reports whether another may follow.
// Sometimes it breaks off meanwhile.
func (x *chaos) listen(c *net.TCPConn, r *bufio.Reader, method, id string) bool {
	if rand.IntN(20) == 0 {
		if rand.IntN(2) == 0 {
			_ = c.SetLinger(0)
		}
		_, _ = r.Peek(1 + rand.IntN(40)) // less than any response
		x.cut.Add(1)
		return false
	}
	sent := &http.Request{Method: method}
	response, err := http.ReadResponse(r, sent)
	for err == nil && response.StatusCode == 100 {
		response, err = http.ReadResponse(r, sent)
	}
	if err != nil {
		x.failed(err)
		return false
	}
	want := payload(id)
	if method == "HEAD" {
		want = ""
	}
	body, err := plain(response)
	switch {
	case err != nil:
		x.failed(err)
		return false
	case response.StatusCode == 502:
		x.generated.Add(1)
	case response.StatusCode != 200 || string(body) != want:
		x.t.Errorf("%s was answered %d %.60q (%d bytes), want %.60q (%d bytes)", id, response.StatusCode, body, len(body), want, len(want))
		return false
	default:
		x.complete.Add(1)
	}
	return !response.Close
}

// plain returns the body of a response, uncompressed.
func plain(response *http.Response) ([]byte, error) {
	if response.Header.Get("Content-Encoding") != "gzip" {
		return io.ReadAll(response.Body)
	}
	unzipped, err := gzip.NewReader(response.Body)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(unzipped)
	if err == nil {
		_, err = io.Copy(io.Discard, response.Body) // the last chunk follows the last byte of gzip
	}
	return body, err
}

// failed counts an exchange that was visibly broken off. A timeout fails the test.
func (x *chaos) failed(err error) {
	x.cut.Add(1)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		x.t.Error(err)
	}
}

// Either side breaks off thousands of requests at random: nothing is left of them (see
// fixture.end), no client gets another's response or takes a part for the complete one,
// and no POST is sent twice.
func TestRandomAborts(t *testing.T) {
	t.Parallel()
	most := int64(3000)
	if harness.Long {
		most = 20000
	}
	x := &chaos{t: t, received: map[string]int{}}
	var addresses []string
	for range 3 {
		addresses = append(addresses, endpoint.Serve(t, x.serve).Address)
	}
	b := start(t, addresses)
	var clients sync.WaitGroup
	for range 16 {
		clients.Go(func() { x.client(b.Address, most) })
	}
	clients.Wait()
	t.Logf("%d requests: %d answered completely, %d by 502, %d broken off; %v", x.sent.Load(), x.complete.Load(), x.generated.Load(), x.cut.Load(), harness.Nonzero(b.frontend.Totals().Ended))
	if x.complete.Load() < most/3 || x.cut.Load() < most/50 {
		t.Error("the mix is unbalanced")
	}
	for id, n := range x.received {
		if n > 1 {
			t.Errorf("POST %s was sent %d times", id, n)
		}
	}
}
