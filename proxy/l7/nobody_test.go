package l7

import (
	"fmt"
	"io"
	"strings"
	"testing"
)

// framing is what a server says about a body, and whether that announces one.
type framing struct {
	fields    string
	announces bool
	length    string // what is left of it for HEAD and 304, where it describes the response to a GET
}

var framings = []framing{
	{"", false, ""},
	{"Content-Length: 0\r\n", false, "0"},
	{"Content-Length: 000\r\n", false, "0"},
	{"Content-Length: 0, 0\r\n", false, "0"},
	{"Content-Length: 4\r\n", true, "4"},
	{"Content-Length: 0004\r\n", true, "4"},
	{"Content-Length: 4\r\nContent-Length: 4\r\n", true, "4"},
	{"Content-Length: 4\r\nContent-Length: 5\r\n", true, ""},
	{"Content-Length: nonsense\r\n", true, ""},
	{"Content-Length:\r\n", true, ""},
	{"Transfer-Encoding: chunked\r\n", true, ""},
	{"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", true, ""},
	{"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", true, ""},
	{"Transfer-Encoding: gzip, chunked\r\n", true, ""},
}

// surplus are the bodies that servers send all the same, and what somebody who may
// choose them would like to be taken for an answer.
var surplus = []string{"", "body", "0\r\n\r\n", "4\r\nbody\r\n0\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"}

// A response that has no body passes, whatever its head says of one: users of servers
// that send 204 with Transfer-Encoding or Content-Length would get a 502 otherwise.
// Their connection stays open, and bytes behind such a response never become the
// answer to the next request, whenever they come.
func TestNoBody(t *testing.T) {
	t.Parallel()
	for _, c := range []noBody{
		{method: "DELETE", status: 204}, {method: "POST", status: 204}, {method: "GET", status: 304},
		{method: "HEAD", status: 200}, {method: "HEAD", status: 404}, {method: "HEAD", status: 204}, {method: "HEAD", status: 304}, {method: "HEAD", status: 600},
		{method: "DELETE", status: 204, oldServer: true}, {method: "GET", status: 304, oldServer: true}, {method: "HEAD", status: 200, oldServer: true},
		{method: "DELETE", status: 204, oldClient: true}, {method: "GET", status: 304, oldClient: true}, {method: "HEAD", status: 200, oldClient: true},
	} {
		t.Run(fmt.Sprintf("%s %d, old client %v, old server %v", c.method, c.status, c.oldClient, c.oldServer), func(t *testing.T) {
			t.Parallel()
			b, s := startServed(t, oneLoop)
			client := b.dial()
			for _, c.framing = range framings {
				for _, c.body = range surplus {
					for _, c.late = range []bool{false, true} {
						c.exchange(t, client, s)
					}
				}
			}
		})
	}
}

// noBody is a response without a body.
type noBody struct {
	method               string
	status               int
	framing              framing
	body                 string
	late                 bool // the body comes when the client has the answer
	oldClient, oldServer bool
	server               *httpConn // the upstream connection; nil = a new one comes
}

// exchange asks for the response and, pipelined, for another.
func (c *noBody) exchange(t *testing.T, client *httpConn, s *server) {
	t.Helper()
	announces, length := c.framing.announces, c.framing.length
	if c.status == 204 || c.status != 304 && c.method != "HEAD" {
		length = ""
	}
	if !announces && c.late {
		return // bytes that nothing announces: the next request on the connection gets them
	}
	version := "HTTP/1.1"
	if c.oldClient {
		version = "HTTP/1.0"
	}
	client.Say(fmt.Sprintf("%s /none %s\r\nHost: x\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n", c.method, version) + get("/next"))
	if c.server == nil {
		c.server = s.next()
	}
	if r, _ := c.server.request(); r.URL.Path != "/none" {
		t.Fatalf("%q %q: the server got %s", c.framing.fields, c.body, r.URL)
	}
	c.answer(t)
	h := client.head()
	if want := fmt.Sprintf("HTTP/1.1 %d Fine", c.status); h.first() != want || h.get(t, "Content-Length") != length ||
		h.all("Transfer-Encoding") != nil || h.get(t, "X") != "y" || h.get(t, "Connection") == "close" {
		t.Fatalf("%q %q: the client got %q", c.framing.fields, c.body, h)
	}
	if c.late {
		_, _ = io.WriteString(c.server, c.body) // the connection may be closed
	}
	if announces || c.body != "" || c.oldServer {
		old := c.server
		c.server = s.next()
		old.Close()
	}
	if r, _ := c.server.request(); r.URL.Path != "/next" {
		t.Fatalf("%q %q: the server got %s", c.framing.fields, c.body, r.URL)
	}
	c.server.answer("fine")
	if _, body := client.wantStatus("GET", 200); body != "fine" {
		t.Fatalf("%q %q: the next answer is %q", c.framing.fields, c.body, body)
	}
}

// answer sends the response.
func (c *noBody) answer(t *testing.T) {
	t.Helper()
	version := "HTTP/1.1"
	if c.oldServer {
		version = "HTTP/1.0"
	}
	response := fmt.Sprintf("%s %d Fine\r\n%sX: y\r\n\r\n", version, c.status, c.framing.fields)
	if !c.late {
		response += c.body
	}
	c.server.Say(response)
}

// Interim responses pass without framing fields. They have no body: what follows is
// the next response, or nonsense.
func TestInterimWithFraming(t *testing.T) {
	t.Parallel()
	for _, status := range []int{100, 102, 103, 199} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			b, s := startServed(t, oneLoop)
			var server *httpConn
			for _, f := range framings {
				client := b.dial()
				client.Say(get("/") + get("/next"))
				if server == nil {
					server = s.next()
				}
				server.request()
				server.Say(fmt.Sprintf("HTTP/1.1 %d Soon\r\n%sX: y\r\n\r\n", status, f.fields))
				if h := client.head(); h.first() != fmt.Sprintf("HTTP/1.1 %d Soon", status) || len(h) != 2 || h.get(t, "X") != "y" {
					t.Fatalf("%q: the client got %q", f.fields, h)
				}
				server.answer("final")
				if _, body := client.wantStatus("GET", 200); body != "final" {
					t.Fatalf("%q: the answer is %q", f.fields, body)
				}
				if f.announces {
					server.HearEnd()
					server = s.next()
				}
				server.request()
				server.answer("fine")
				client.wantStatus("GET", 200)
				client.Close()
			}
		})
	}
}

// The body of an interim response is none of the client's business, nor its answer.
func TestInterimWithBody(t *testing.T) {
	t.Parallel()
	_, client, server := startExchange(t, get("/"))
	server.Say("HTTP/1.1 103 Early Hints\r\nContent-Length: 4\r\n\r\nbodyHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	client.head()
	client.wantStatus("GET", 502)
	server.HearReset()
}

// Statuses without a meaning pass, are counted as other, and the connections live on:
// clients of LinkedIn's 999 and its like would get a 502 otherwise.
func TestOddStatus(t *testing.T) {
	t.Parallel()
	b, s := startServed(t, oneLoop)
	client := b.dial()
	client.Say(get("/"))
	server := s.next()
	for _, status := range []int{600, 700, 999} {
		server.request()
		server.Say(fmt.Sprintf("HTTP/1.1 %d\r\nContent-Length: 3\r\n\r\nodd", status))
		if _, body := client.wantStatus("GET", status); body != "odd" {
			t.Errorf("the body is %q", body)
		}
		client.Say(get("/"))
	}
	if n := b.frontend.Totals().Status["other"]; n != 3 {
		t.Errorf("%d responses are counted as other", n)
	}
	if n := b.pool.Servers()[0].Totals().Responses; n[len(n)-1] != 3 {
		t.Errorf("the server's responses are counted as %v", n)
	}
	server.request()
	server.Say("HTTP/1.1 1000 No\r\nContent-Length: 0\r\n\r\n")
	client.wantStatus("GET", 502)
	for _, status := range []string{"000", "099"} {
		server = s.receive(client, get("/"))
		server.Say(strings.Replace("HTTP/1.1 X No\r\nContent-Length: 0\r\n\r\n", "X", status, 1))
		client.wantStatus("GET", 502)
	}
}
