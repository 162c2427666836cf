package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"mcplb/cmd/internal/cli"
	"mcplb/conf"
	"mcplb/proxy/admin"
)

// usualAdmin is the admin address unless the configuration has another one.
const (
	usualAdmin = "127.0.0.1:" + usualPort
	usualPort  = "8404"
)

// apiClient sends requests to a balancer's admin address.
type apiClient struct {
	address string
	token   string

	tokenSource string // in words; "" = there is no token
	http        http.Client
}

// unreachableError is the error when no balancer answers.
type unreachableError struct {
	address string
	err     error
}

func (e *unreachableError) Error() string {
	return fmt.Sprintf("no balancer answers on %s: %v (%s)", e.address, e.err, e.advice())
}

// advice says what to do next.
func (e *unreachableError) advice() string {
	const where = "-c FILE or -admin ADDRESS says where it is"
	var dns *net.DNSError
	switch {
	case errors.Is(e.err, errNoBalancer):
		return "another program listens there, or it is health_listen: " + where
	case errors.Is(e.err, errNoAnswer):
		return "its process hangs, or packets are lost on the way: try again with a longer -timeout, then look at the process and at firewalls"
	case errors.As(e.err, &dns):
		return "check the name: " + where
	case errors.Is(e.err, syscall.EHOSTUNREACH), errors.Is(e.err, syscall.ENETUNREACH):
		return "check the address and the route to it: " + where
	}
	return "is it running? " + where
}

// What can be wrong with an answer.
var (
	errNoBalancer = errors.New("the answer is not a balancer's")
	errNoAnswer   = errors.New("no answer in time")
)

func (e *unreachableError) Unwrap() error { return e.err }

// ExitStatus is the exit status of the command (cli.Execute).
func (e *unreachableError) ExitStatus() int { return exitUnreachable }

// connect finds the balancer's admin address and the token. It sends nothing.
func (o *operator) connect() (*apiClient, error) {
	if o.timeout < 0 {
		return nil, cli.Misuse("-timeout must not be negative, and is %v", o.timeout)
	}
	address, err := adminAddress(o.address)
	if err != nil {
		return nil, err
	}
	tokenFile := o.tokenFile
	if len(o.config) > 0 {
		section, err := readAdmin(o.config)
		if err != nil {
			return nil, fmt.Errorf("%w (-c or MCPLB_CONFIG names this file; -admin ADDRESS does without it)", err)
		}
		if address == "" {
			if section.Listen == "" {
				return nil, fmt.Errorf("%s has admin.listen = \"\": the balancer has no admin address, so no command reaches it; set one and send it SIGHUP", strings.Join(o.config, " "))
			}
			address = section.Listen
		}
		if tokenFile == "" && os.Getenv("MCPLB_TOKEN") == "" {
			tokenFile = section.TokenFile
		}
	}
	if address == "" {
		address = usualAdmin
	}
	token, err := readToken(tokenFile)
	if err != nil {
		return nil, err
	}
	return &apiClient{
		address: reachable(address), token: token, tokenSource: tokenSource(tokenFile, token),
		http: http.Client{Timeout: o.timeout},
	}, nil
}

// tokenSource says where a token comes from, for messages; "" = there is none.
func tokenSource(file, token string) string {
	switch {
	case token == "":
		return ""
	case file != "":
		return "the file " + file
	}
	return "the environment variable MCPLB_TOKEN"
}

// adminAddress returns the HOST:PORT that the flag -admin or its variable MCPLB_ADMIN
// names: that, a host alone, or a URL without path.
func adminAddress(text string) (string, error) {
	address := text
	if scheme, rest, isURL := strings.Cut(text, "://"); isURL {
		if !strings.EqualFold(scheme, "http") {
			return "", fmt.Errorf("-admin (MCPLB_ADMIN) is %q, and the admin address speaks plain HTTP only: write HOST:PORT, such as %s", text, usualAdmin)
		}
		address = strings.TrimSuffix(rest, "/")
		if _, port, err := net.SplitHostPort(address); err != nil || port == "" {
			return "", fmt.Errorf("-admin (MCPLB_ADMIN) is %q, which has no port: write HOST:PORT, such as %s", text, usualAdmin)
		}
	}
	if address == "" && text == "" {
		return "", nil
	}
	if ip := net.ParseIP(strings.Trim(address, "[]")); ip != nil {
		return net.JoinHostPort(ip.String(), usualPort), nil
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		host, port = address, usualPort
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if _, portAlone := strconv.Atoi(host); err != nil || number == 0 || portAlone == nil || strings.ContainsAny(host, "/?#@ []:") && net.ParseIP(host) == nil {
		return "", fmt.Errorf("-admin (MCPLB_ADMIN) is %q: write HOST:PORT alone, such as %s", text, usualAdmin)
	}
	return net.JoinHostPort(host, port), nil
}

// readAdmin reads the [admin] section alone: it works with files that have mistakes
// elsewhere, which may be why the operator uses a command.
func readAdmin(paths []string) (*conf.Admin, error) {
	files, err := conf.ReadConfig(paths...)
	if err != nil {
		return nil, err
	}
	return conf.ParseAdmin(files)
}

// readToken reads the token from a file, or from the environment if path is empty.
func readToken(path string) (string, error) {
	if path == "" {
		return checkTokenText("MCPLB_TOKEN", strings.TrimSpace(os.Getenv("MCPLB_TOKEN")))
	}
	token, err := conf.ReadToken(path)
	if err != nil {
		return "", fmt.Errorf("reading the token: %w (-token-file FILE, MCPLB_TOKEN_FILE or MCPLB_TOKEN give it otherwise)", err)
	}
	return token, nil
}

// checkTokenText refuses a token that no balancer can have, and no header could carry.
func checkTokenText(source, token string) (string, error) {
	if strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return "", fmt.Errorf("%s must contain the token and nothing else: one word without spaces", source)
	}
	return token, nil
}

// reachable turns a listening address into one to connect to: a balancer that
// listens on every address is reached by loopback.
func reachable(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
		if ip != nil && ip.To4() == nil {
			host = "::1"
		}
	}
	return net.JoinHostPort(host, port)
}

// do sends a request and decodes the answer into value. body is sent as JSON unless
// it is nil.
func (c *apiClient) do(method, path string, body, value any) error {
	request, err := c.request(method, path, body)
	if err != nil {
		return err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return &unreachableError{c.address, cause(err)}
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 64<<20))
	if err != nil {
		return &unreachableError{c.address, cause(err)}
	}
	if response.StatusCode != http.StatusOK && response.StatusCode != http.StatusCreated {
		return c.refusal(response, text)
	}
	if err := json.Unmarshal(text, value); err != nil {
		return &unreachableError{c.address, fmt.Errorf("%w: %w", errNoBalancer, err)}
	}
	return nil
}

func (c *apiClient) request(method, path string, body any) (*http.Request, error) {
	var text io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		text = bytes.NewReader(encoded)
	}
	request, err := http.NewRequest(method, "http://"+c.address+path, text)
	if err != nil {
		return nil, err
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	request.Header.Set(admin.CommandHeader, "1")
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	} else {
		// Unlike a page, a command cannot be brought to another machine's address by a
		// name that changes: whatever name was given, it means this balancer.
		request.Host = "localhost"
	}
	return request, nil
}

// cause is an error without the method and address that net/http puts before it.
func cause(err error) error {
	var timeout interface{ Timeout() bool }
	if errors.As(err, &timeout) && timeout.Timeout() {
		return errNoAnswer
	}
	var operation *net.OpError
	if errors.As(err, &operation) {
		return operation.Err
	}
	var request *url.Error
	if errors.As(err, &request) {
		return request.Err
	}
	return err
}

// refusal is the error in the balancer's answer, with what to do about the token.
func (c *apiClient) refusal(response *http.Response, text []byte) error {
	var failure admin.Failure
	if json.Unmarshal(text, &failure) != nil || failure.Error == "" {
		return &unreachableError{c.address, fmt.Errorf("%w: %s", errNoBalancer, response.Status)}
	}
	reason := failure.Error
	if response.StatusCode != http.StatusUnauthorized {
		return errors.New(reason)
	}
	const where = "-c FILE (its admin.token_file), -token-file FILE, MCPLB_TOKEN_FILE or MCPLB_TOKEN"
	if c.tokenSource == "" {
		return fmt.Errorf("%s\nno token was given: give it by %s", reason, where)
	}
	return fmt.Errorf("%s\nthe token came from %s: give the right one by %s", reason, c.tokenSource, where)
}

// status requests the complete status.
func (c *apiClient) status() (*admin.Snapshot, error) {
	var s admin.Snapshot
	err := c.do(http.MethodGet, "/api/v1/status", nil, &s)
	return &s, err
}

// every calls f at once and then at every interval, until f fails.
func every(interval time.Duration, f func() error) error {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		if err := f(); err != nil {
			return err
		}
		<-ticker.C
	}
}
