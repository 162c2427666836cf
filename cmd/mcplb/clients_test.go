package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// The common clients, if they are installed: curl with kept-alive connections,
// chunked uploads and Expect: 100-continue; wrk; and nghttp2's h2load, which
// pipelines.
func TestCommonClients(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(digest))
	t.Cleanup(server.Close)
	s := newSetup(t, strings.TrimPrefix(server.URL, "http://"))
	s.mode, s.endpoint, s.ratelimit = "http", "http", "connection_rate = 0\nmessage_rate = 0"
	s.frontendLines = "requests_per_connection = 0"
	b := startBalancer(t, s)
	url := "http://" + b.frontend + "/"
	body := bytes.Repeat([]byte("0123456789abcdef"), 1<<16) // 1 MiB
	sum := fmt.Sprintf("%x", sha256.Sum256(body))

	t.Run("curl keeps a connection", func(t *testing.T) {
		text := runClient(t, nil, "curl", "-sS", "-w", "%{num_connects} %{http_code}\\n", "-o", "/dev/null", url, "-o", "/dev/null", url, "-o", "/dev/null", url)
		if text != "1 200\n0 200\n0 200\n" {
			t.Errorf("connects and statuses: %q", text)
		}
	})
	for name, arguments := range map[string][]string{
		"curl uploads by length":   {"--data-binary", "@-"},
		"curl uploads in chunks":   {"-T", "-"},
		"curl waits for 100":       {"-H", "Expect: 100-continue", "--expect100-timeout", "600", "--data-binary", "@-"},
		"curl speaks HTTP/1.0":     {"-0", "--data-binary", "@-"},
		"curl waits, then chunked": {"-H", "Expect: 100-continue", "--expect100-timeout", "600", "-T", "-"},
	} {
		t.Run(name, func(t *testing.T) {
			if text := runClient(t, body, "curl", append([]string{"-sS", "-f", url}, arguments...)...); text != sum {
				t.Errorf("the server got %q, want %s", text, sum)
			}
		})
	}
	t.Run("wrk", func(t *testing.T) {
		text := runClient(t, nil, "wrk", "-t1", "-c20", "-d1s", "--timeout", "30s", url)
		if strings.Contains(text, "Socket errors") || strings.Contains(text, "Non-2xx") {
			t.Error(text)
		}
		if requests := number(t, text, `(\d+) requests in`); requests == 0 {
			t.Error(text)
		}
	})
	for name, arguments := range map[string][]string{
		"h2load keeps connections": {"-m1"},
		"h2load pipelines":         {"-m16"},
	} {
		t.Run(name, func(t *testing.T) {
			n := full(200_000, 4000)
			text := runClient(t, nil, "h2load", append(arguments, "--h1", "-c20", "-n", strconv.Itoa(n), url)...)
			if got := number(t, text, `status codes: (\d+) 2xx`); got != n {
				t.Errorf("%d answers of 200, want %d:\n%s", got, n, text)
			}
		})
	}
}

// digest answers with the SHA-256 of the request's body.
func digest(w http.ResponseWriter, r *http.Request) {
	h := sha256.New()
	if _, err := io.Copy(h, r.Body); err != nil {
		return
	}
	fmt.Fprintf(w, "%x", h.Sum(nil))
}

// runClient runs a program and returns its output. Without the program, the test is
// skipped.
func runClient(t *testing.T, input []byte, program string, arguments ...string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Skip(err)
	}
	command := exec.Command(path, arguments...)
	command.Stdin = bytes.NewReader(input)
	var failed strings.Builder
	command.Stderr = &failed
	output, err := command.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s%s", command, err, output, &failed)
	}
	return string(output)
}

// number is the number that a pattern matches.
func number(t *testing.T, text, pattern string) int {
	t.Helper()
	match := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if match == nil {
		t.Fatalf("no %q in %s", pattern, text)
	}
	n, err := strconv.Atoi(match[1])
	if err != nil {
		t.Fatal(err)
	}
	return n
}
