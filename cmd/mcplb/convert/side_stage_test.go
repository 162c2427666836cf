package convert

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"mcplb/internal/certificate"
)

// stage are the servers, and what the texts say of them.
type stage struct {
	t       *testing.T
	dir     string
	cert    string
	servers map[string]string // address by name
}

// unseen are the headers of a request that are each balancer's own business.
var unseen = []string{"Connection", "User-Agent", "Te", "Content-Length", "Transfer-Encoding", "Keep-Alive", "Upgrade"}

func newStage(t *testing.T) *stage {
	t.Helper()
	dir, err := os.MkdirTemp("", "side")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &stage{t: t, dir: dir, servers: map[string]string{}}
	certificate.Write(t, dir, "side", certificate.New(t, nil, certificate.ECDSA(t), certificate.Today(), "side.example.com"))
	page := "HTTP/1.0 503 Service Unavailable\r\nContent-Type: text/html\r\nRetry-After: 7\r\nX-Brace: {x}\r\n\r\n<h1>later</h1>\n"
	if err := os.WriteFile(filepath.Join(dir, "page.http"), []byte(page), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "hosts.map"), []byte("web.example.com default_web_http\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	both := append(read(t, filepath.Join(dir, "side.pem")), read(t, filepath.Join(dir, "side.key"))...)
	s.cert = filepath.Join(dir, "both.pem")
	if err := os.WriteFile(s.cert, both, 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// server starts a server that says what it saw: HTTP, or for names with t its name and
// the line that it got.
func (s *stage) server(name string) string {
	s.t.Helper()
	if address, ok := s.servers[name]; ok {
		return address
	}
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	s.servers[name] = socket.Addr().String()
	if name[0] == 't' {
		go serveLines(socket, name)
		s.t.Cleanup(func() { socket.Close() })
		return s.servers[name]
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { see(w, r, name) })}
	go server.Serve(socket)
	s.t.Cleanup(func() { server.Close() })
	return s.servers[name]
}

func see(w http.ResponseWriter, r *http.Request, name string) {
	headers := map[string][]string{"Host": {r.Host}}
	for h, values := range r.Header {
		if !slices.Contains(unseen, h) {
			headers[h] = values
		}
	}
	w.Header().Set("X-Server", name)
	w.Header().Set("X-Powered-By", "side")
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(sighting{name, r.Method, r.RequestURI, headers})
}

// serveLines answers a line of each connection.
func serveLines(socket net.Listener, name string) {
	for {
		c, err := socket.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			line, _ := bufio.NewReader(c).ReadString('\n')
			fmt.Fprintf(c, "%s %s", name, line)
		}()
	}
}

var placeholder = regexp.MustCompile(`@(L[12]|[a-z]\d|CERT|DIR)@`)

// render fills in a text, with listeners of its own. Their addresses are none from which
// connections of other tests come, so that nothing takes a port in between.
func (s *stage) render(text string) (rendered string, listeners [2]string) {
	for i := range listeners {
		socket, err := net.Listen("tcp", fmt.Sprintf("127.93.%d.%d:0", 1+rand.IntN(250), 1+rand.IntN(250)))
		if err != nil {
			s.t.Fatal(err)
		}
		listeners[i] = socket.Addr().String()
		defer socket.Close()
	}
	return placeholder.ReplaceAllStringFunc(text, func(p string) string {
		switch name := strings.Trim(p, "@"); name {
		case "L1", "L2":
			return listeners[name[1]-'1']
		case "CERT":
			return s.cert
		case "DIR":
			return s.dir
		default:
			return s.server(name)
		}
	}), listeners
}
