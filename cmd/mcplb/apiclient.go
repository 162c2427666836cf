package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"mcplb/proxy/admin"

	"github.com/BurntSushi/toml"
)

// usualAdmin is the admin address unless the configuration has another one.
const usualAdmin = "127.0.0.1:8404"

// apiClient sends requests to a balancer's admin address.
type apiClient struct {
	address string
	token   string
	http    http.Client
}

// unreachableError is the error when no balancer answers.
type unreachableError struct {
	address string
	err     error
}

func (e *unreachableError) Error() string {
	return fmt.Sprintf("no balancer answers on %s: %v (is it running? -c FILE or -admin ADDRESS says where)", e.address, e.err)
}

func (e *unreachableError) Unwrap() error { return e.err }

// ExitStatus is the exit status of the command (cli.Execute).
func (e *unreachableError) ExitStatus() int { return exitUnreachable }

// connect finds the balancer's admin address and the token. It sends nothing.
func (o *operator) connect() (*apiClient, error) {
	address, tokenFile := o.address, o.tokenFile
	if o.config != "" {
		listen, file, err := readAdmin(o.config)
		if err != nil {
			return nil, err
		}
		if address == "" {
			if listen == "" {
				return nil, fmt.Errorf("%s has admin.listen = \"\": the balancer has no admin address", o.config)
			}
			address = listen
		}
		if tokenFile == "" && os.Getenv("MCPLB_TOKEN") == "" {
			tokenFile = file
		}
	}
	if address == "" {
		address = usualAdmin
	}
	token, err := readToken(tokenFile)
	if err != nil {
		return nil, err
	}
	return &apiClient{address: reachable(address), token: token, http: http.Client{Timeout: o.timeout}}, nil
}

// readAdmin reads the [admin] section alone: it works with a file that has mistakes
// elsewhere, which may be why the operator uses a command.
func readAdmin(path string) (listen, tokenFile string, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", "", fmt.Errorf("reading the configuration: %w", err)
	}
	file := struct {
		Admin struct {
			Listen    string `toml:"listen"`
			TokenFile string `toml:"token_file"`
		} `toml:"admin"`
	}{}
	file.Admin.Listen = usualAdmin
	if err := toml.Unmarshal(text, &file); err != nil {
		return "", "", fmt.Errorf("%s: %w", path, err)
	}
	return file.Admin.Listen, file.Admin.TokenFile, nil
}

// readToken reads the token from a file, or from the environment if path is empty.
func readToken(path string) (string, error) {
	if path == "" {
		return strings.TrimSpace(os.Getenv("MCPLB_TOKEN")), nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("reading the token: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
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
		return &unreachableError{c.address, err}
	}
	if response.StatusCode != http.StatusOK {
		return refusal(response, text)
	}
	if err := json.Unmarshal(text, value); err != nil {
		return &unreachableError{c.address, fmt.Errorf("the answer is not a balancer's: %w", err)}
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
	var operation *net.OpError
	if errors.As(err, &operation) {
		return operation.Err
	}
	var timeout interface{ Timeout() bool }
	if errors.As(err, &timeout) && timeout.Timeout() {
		return errors.New("no answer in time")
	}
	return err
}

// refusal is the error in the balancer's answer.
func refusal(response *http.Response, text []byte) error {
	var failure admin.Failure
	if json.Unmarshal(text, &failure) == nil && failure.Error != "" {
		return errors.New(failure.Error)
	}
	return fmt.Errorf("the balancer answers %s", response.Status)
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
