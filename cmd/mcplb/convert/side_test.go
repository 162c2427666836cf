package convert

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"mcplb/conf"
	"mcplb/proxy"
	"mcplb/proxy/reactor"
)

// A comparison is a configuration and a script of requests, which the original
// balancer and mcplb answer side by side in front of the same servers. In the text,
// @L1@, @L2@ are addresses to listen on, @a1@ the address of a server called a1 (and so
// on for names of a letter and a digit), @CERT@ a file with a certificate and its key,
// @DIR@ a folder, in which page.http is an error page of HAProxy.
type comparison struct {
	name     string
	text     string
	requests []request
	watch    []string // response headers that are compared, beside Location
	partial  bool     // not all of it is possible: what is, is compared
}

// request is a request of a script.
type request struct {
	listener int // 1 or 2
	method   string
	path     string
	host     string // "@" = the listener's address
	headers  map[string]string
	body     string
	source   string // the client's address; "" = any
	times    int    // 0 = once
	tls      bool
	tcp      bool   // a connection of mode tcp
	policy   policy // which servers several requests may get
	jar      bool   // cookies of an answer go into the requests behind it
}

// policy is what is compared of the servers that requests get.
type policy int

const (
	samePool policy = iota // the letter of each server's name
	even                   // and how many each server of the pool got
	spread                 // and which servers got any
	sticky                 // and that all went to one
)

// cookieValue is the value in a Set-Cookie.
var cookieValue = regexp.MustCompile(`=[^;]*;`)

// answer is what is compared of an answer.
type answer struct {
	status   int
	location string
	watched  map[string]string
	seen     *sighting // nil: no server saw the request
	cookies  []*http.Cookie
}

// sighting is what a server saw of a request.
type sighting struct {
	Server, Method, Path string
	Headers              map[string][]string
}

// balancer is one of the two sides.
type balancer struct {
	*stage
	listeners [2]string
}

// await waits until the listeners that the text has are there.
func (b *balancer) await(text string) {
	b.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for i, address := range b.listeners {
		if !strings.Contains(text, fmt.Sprintf("@L%d@", i+1)) {
			continue
		}
		for {
			c, err := net.Dial("tcp", address)
			if err == nil {
				c.Close()
				break
			}
			if time.Now().After(deadline) {
				b.t.Fatalf("%s does not listen: %v", address, err)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
}

// original starts HAProxy or nginx with the text.
func (s *stage) original(program, text string) *balancer {
	s.t.Helper()
	rendered, listeners := s.render(text)
	file := filepath.Join(s.dir, program+".conf")
	if err := os.WriteFile(file, []byte(rendered), 0o600); err != nil {
		s.t.Fatal(err)
	}
	args := []string{"-db", "-f", file}
	if program == "nginx" {
		args = []string{"-e", filepath.Join(s.dir, "error.log"), "-p", s.dir, "-c", file}
	}
	command := exec.Command(program, args...)
	var output bytes.Buffer
	command.Stdout, command.Stderr = &output, &output
	if err := command.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM) // SIGINT is ignored where a shell runs the tests in the background
		_ = command.Wait()
		if s.t.Failed() {
			s.t.Logf("%s: %s", program, &output)
		}
	})
	b := &balancer{s, listeners}
	b.await(text)
	return b
}

// converted starts mcplb with what becomes of the text.
func (s *stage) converted(language Language, text string, partial bool) *balancer {
	s.t.Helper()
	b, result := s.convertedAnyhow(language, text)
	if result.Incomplete() != partial {
		var report strings.Builder
		_ = result.Report(&report)
		s.t.Fatalf("all of it is possible = %v, which is wrong:\n%s", partial, &report)
	}
	return b
}

// convertedAnyhow starts mcplb with what becomes of the text, whatever is not possible.
func (s *stage) convertedAnyhow(language Language, text string) (*balancer, *Result) {
	s.t.Helper()
	rendered, listeners := s.render(text)
	file := filepath.Join(s.dir, "converted."+string(language))
	if err := os.WriteFile(file, []byte(rendered), 0o600); err != nil {
		s.t.Fatal(err)
	}
	result, err := Files(language, file)
	if err != nil {
		s.t.Fatal(err)
	}
	config, err := conf.Parse("lb.toml", []byte(result.Text))
	if err != nil {
		s.t.Fatalf("%v\n%s", err, result.Text)
	}
	config.Global.Threads = 1
	p, err := proxy.Start(config, proxy.Options{Log: slog.New(slog.DiscardHandler), FileLimit: 4096, System: reactor.Kernel()})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = p.Stop(ctx)
		if s.t.Failed() {
			s.t.Logf("%s", result.Text)
		}
	})
	b := &balancer{s, listeners}
	b.await(text)
	return b, result
}

// ask sends a request, as often as it says.
func (b *balancer) ask(r request, watch []string) (answers []answer) {
	b.t.Helper()
	var jar []*http.Cookie
	for range max(r.times, 1) {
		if r.tcp {
			answers = append(answers, b.askLine(r))
			continue
		}
		a := b.askHTTP(r, watch, jar)
		if r.jar && len(a.cookies) > 0 {
			jar = a.cookies
		}
		answers = append(answers, a)
	}
	return answers
}

func (b *balancer) dial(r request) (net.Conn, error) {
	d := net.Dialer{Timeout: 30 * time.Second}
	if r.source != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(r.source)}
	}
	return d.Dial("tcp", b.listeners[max(r.listener, 1)-1])
}

// askLine sends a line, and returns the server that answered it.
func (b *balancer) askLine(r request) (a answer) {
	c, err := b.dial(r)
	if err != nil {
		return a
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	fmt.Fprintf(c, "%s\n", r.path)
	line, _ := io.ReadAll(c)
	if name, rest, ok := strings.Cut(string(line), " "); ok {
		a.status, a.seen = 200, &sighting{Server: name, Path: rest}
	}
	return a
}

func (b *balancer) askHTTP(r request, watch []string, jar []*http.Cookie) answer {
	b.t.Helper()
	transport := &http.Transport{
		DialContext:        func(context.Context, string, string) (net.Conn, error) { return b.dial(r) },
		TLSClientConfig:    &tls.Config{InsecureSkipVerify: true},
		DisableCompression: true, DisableKeepAlives: true,
	}
	defer transport.CloseIdleConnections()
	client := http.Client{Transport: transport, Timeout: time.Minute, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	scheme := "http"
	if r.tls {
		scheme = "https"
	}
	method := r.method
	if method == "" {
		method = "GET"
	}
	h, err := http.NewRequest(method, scheme+"://side.example.com"+r.path, strings.NewReader(r.body))
	if err != nil {
		b.t.Fatal(err)
	}
	if h.Host = r.host; r.host == "@" {
		h.Host = b.listeners[max(r.listener, 1)-1]
	}
	for name, value := range r.headers {
		h.Header.Set(name, value)
	}
	for _, c := range jar {
		h.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
	}
	response, err := client.Do(h)
	if err != nil {
		b.t.Logf("%s: %v", r.path, err)
		return answer{}
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	a := answer{status: response.StatusCode, location: response.Header.Get("Location"), watched: map[string]string{}, cookies: response.Cookies()}
	for _, name := range watch {
		a.watched[name] = strings.Join(response.Header.Values(name), ", ")
		if name == "Set-Cookie" { // the values are each balancer's own
			a.watched[name] = cookieValue.ReplaceAllString(strings.ToLower(a.watched[name]), "=*;")
		}
	}
	if response.Header.Get("X-Server") != "" {
		a.seen = &sighting{}
		if err := json.Unmarshal(body, a.seen); err != nil {
			b.t.Fatalf("%s: %v: %s", r.path, err, body)
		}
	}
	return a
}

// String shows what of an answer has to be the same on both sides.
func (a answer) String() string {
	seen := "no server"
	if a.seen != nil {
		seen = fmt.Sprintf("pool %c, %s %s", a.seen.Server[0], a.seen.Method, strings.TrimSpace(a.seen.Path))
		for _, name := range slices.Sorted(maps.Keys(a.seen.Headers)) {
			seen += fmt.Sprintf("\n\t%s: %s", name, strings.Join(a.seen.Headers[name], " | "))
		}
	}
	return fmt.Sprintf("status %d, location %q, headers %v, %s", a.status, a.location, a.watched, seen)
}

// show shows answers without what differs between the sides by necessity: ports.
func (b *balancer) show(r request, answers []answer) string {
	var text strings.Builder
	counts := map[string]int{}
	lines := []string{}
	for _, a := range answers {
		if a.seen != nil {
			counts[a.seen.Server]++
		}
		lines = append(lines, a.String())
	}
	if len(answers) > 1 {
		slices.Sort(lines) // limits refuse so many, whichever
	}
	text.WriteString(strings.Join(lines, "\n"))
	switch r.policy {
	case even:
		for _, name := range slices.Sorted(maps.Keys(counts)) {
			fmt.Fprintf(&text, "\n%s: %d", name, counts[name])
		}
	case spread: // not how many: the connection that has found the listener open was one, too
		fmt.Fprintf(&text, "\n%s", slices.Sorted(maps.Keys(counts)))
	case sticky:
		fmt.Fprintf(&text, "\nservers: %d", len(counts))
	}
	shown := regexp.MustCompile(`(X-Source-Port: )\d+`).ReplaceAllString(text.String(), "$1*")
	for i, l := range b.listeners {
		shown = strings.ReplaceAll(shown, l, fmt.Sprintf("LISTENER%d", i+1))
		host, port, _ := net.SplitHostPort(l)
		shown = strings.ReplaceAll(shown, host, fmt.Sprintf("ADDRESS%d", i+1))
		shown = strings.ReplaceAll(shown, port, fmt.Sprintf("PORT%d", i+1))
	}
	return shown
}

// needs skips a test that has not the original balancer.
func needs(t *testing.T, language Language) {
	t.Helper()
	if testing.Short() {
		t.Skip("it runs " + string(language))
	}
	if _, err := exec.LookPath(string(language)); err != nil {
		t.Skipf("%s is not installed", language)
	}
}

// compare runs a comparison.
func compare(t *testing.T, language Language, c comparison) {
	needs(t, language)
	s := newStage(t)
	before, after := s.original(string(language), c.text), s.converted(language, c.text, c.partial)
	for _, r := range c.requests {
		want, got := before.show(r, before.ask(r, c.watch)), after.show(r, after.ask(r, c.watch))
		if want != got {
			t.Errorf("%s %s%s: %s answers\n%s\nand mcplb\n%s", r.method, r.host, r.path, language, want, got)
		}
	}
}

// Whoever moves from HAProxy to mcplb must get the same answers.
func TestLikeHAProxy(t *testing.T) {
	for _, c := range haproxyComparisons {
		t.Run(c.name, func(t *testing.T) { compare(t, HAProxy, c) })
	}
}

// Whoever moves from nginx to mcplb must get the same answers.
func TestLikeNginx(t *testing.T) {
	for _, c := range nginxComparisons {
		t.Run(c.name, func(t *testing.T) { compare(t, Nginx, c) })
	}
}
