package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	_ "embed"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"
)

// peer is a client of HTTP/2.
type peer struct {
	name          string
	secure, plain string // what it is to find; "" = it is not tried
	run           func(ctx context.Context, t *trial) (note, found string)
}

// trial is a peer's.
type trial struct {
	*balancer
	cache     string // of what is installed
	directory string // for its files
	secure    bool
}

// address is where the peer connects.
func (t *trial) address() string {
	if t.secure {
		return t.balancer.secure
	}
	return t.plain
}

func (t *trial) url() string {
	return map[bool]string{true: "https://", false: "http://"}[t.secure] + t.address()
}

var peers = func() []peer {
	all := []peer{
		{"h2spec", "145 passed", "144 passed", h2spec},
		{"Go", "all right", "all right", goClient},
		{"Node's fetch", "all right", "", fetchOf("")},
	}
	for _, version := range undicis {
		want := "all right"
		if version == "8.7.0" {
			want = "hangs"
		}
		all = append(all, peer{"undici " + version, want, "", fetchOf(version)})
	}
	return all
}()

const patience = 5 * time.Minute

// h2spec is a suite of 145 tests of RFC 7540 and 7541.
func h2spec(ctx context.Context, t *trial) (note, found string) {
	const version = "2.2.1"
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	host, port, _ := net.SplitHostPort(t.address())
	arguments := []string{"run", "github.com/summerwind/h2spec/cmd/h2spec@v" + version + "+incompatible", "-h", host, "-p", port, "-o", "20"}
	if t.secure {
		arguments = append(arguments, "-t", "-k")
	}
	output, err := exec.CommandContext(ctx, "go", arguments...).CombinedOutput() // its status is 1 if a test fails
	result := regexp.MustCompile(`\d+ tests, (\d+ passed), .*`).FindString(string(output))
	if result == "" {
		return version, fmt.Sprintf("%v: %s", err, output)
	}
	return version, strings.TrimSpace(result)
}

//go:embed streams.mjs
var streamsScript []byte

// fetchOf is the fetch of a version of undici, or Node's.
func fetchOf(version string) func(context.Context, *trial) (note, found string) {
	return func(ctx context.Context, t *trial) (note, found string) {
		patience := 60 * time.Second
		if version == "8.7.0" {
			patience = 10 * time.Second
		}
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		script := filepath.Join(t.directory, "streams.mjs")
		if err := os.WriteFile(script, streamsScript, 0o600); err != nil {
			return "", err.Error()
		}
		arguments := []string{script, t.url()}
		if version != "" {
			arguments = append(arguments, filepath.Join(t.cache, "undici-"+version))
		}
		command := exec.CommandContext(ctx, filepath.Join(t.cache, "node", "node_modules", ".bin", "node"), arguments...)
		command.Env = append(os.Environ(), "NODE_EXTRA_CA_CERTS="+t.trusted)
		command.WaitDelay = time.Second
		output, err := command.CombinedOutput()
		note, found, _ = strings.Cut(strings.TrimSpace(string(output)), "\n")
		switch {
		case ctx.Err() != nil:
			found += "hangs"
		case err != nil:
			found += err.Error()
		}
		return note, found
	}
}

// goClient is the client of net/http.
func goClient(ctx context.Context, t *trial) (note, found string) {
	note = runtime.Version()
	pem, err := os.ReadFile(t.trusted)
	if err != nil {
		return note, err.Error()
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, Protocols: new(http.Protocols)}
	transport.Protocols.SetHTTP2(t.secure)
	transport.Protocols.SetUnencryptedHTTP2(!t.secure)
	defer transport.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := streamsAndRequests(ctx, &http.Client{Transport: transport}, t.url()); err != nil {
		return note, err.Error()
	}
	return note, "all right"
}

// streamsAndRequests does what streams.mjs does.
func streamsAndRequests(ctx context.Context, client *http.Client, url string) error {
	one := make([]byte, 1)
	var streams []io.Reader
	for range 20 {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/events", nil)
		if err != nil {
			return err
		}
		answer, err := client.Do(request)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		if _, err := answer.Body.Read(one); err != nil || answer.ProtoMajor != 2 {
			return fmt.Errorf("an event stream of %s: %w", answer.Proto, err)
		}
		streams = append(streams, answer.Body)
	}
	failures := make(chan error)
	for i := range 100 {
		go func() { failures <- post(ctx, client, url, 100*i) }()
	}
	var failed error
	for range 100 {
		if err := <-failures; err != nil {
			failed = err
		}
	}
	if failed == nil {
		failed = post(ctx, client, url, 4<<20)
	}
	for _, stream := range streams {
		if _, err := stream.Read(one); err != nil {
			return fmt.Errorf("an event stream: %w", err)
		}
	}
	return failed
}

// post sends so many bytes.
func post(ctx context.Context, client *http.Client, url string, size int) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/post", strings.NewReader(strings.Repeat("x", size)))
	if err != nil {
		return err
	}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && string(text) != fmt.Sprintf("%d bytes", size) {
		err = fmt.Errorf("a request of %d bytes is answered %d %q", size, answer.StatusCode, text)
	}
	return err
}
