package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"regexp"
	"strconv"
	"time"

	"mcplb/cmd/mcpload/proc"
)

// measurement gives figures for columns.
type measurement struct {
	name    string
	kind    string // requests or idle
	columns []string
	run     func(ctx context.Context, o *options, p *place, pid int, figures samples) error
}

// measurements are all of them, each made with a new process.
var measurements = []measurement{
	byH2load("HTTP/2", "-m", "10"),
	byH2load("HTTP/1.1", "--h1", "-m", "1"),
	idleOver("TLS", true),
	idleOver("plain", false),
}

// byH2load measures requests over TLS.
func byH2load(name string, arguments ...string) measurement {
	cost, done := "us/request "+name, "answered "+name
	return measurement{name, "requests", []string{cost, done}, func(ctx context.Context, o *options, p *place, pid int, figures samples) error {
		before := proc.UsageOfFamily(pid)
		arguments := append([]string{"-n", strconv.Itoa(o.requests), "-c", "8"}, arguments...)
		output, err := exec.CommandContext(ctx, "h2load", append(arguments, "https://"+p.secure+"/")...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("h2load: %w\n%s", err, output)
		}
		used := proc.UsageOfFamily(pid).CPU - before.CPU
		match := regexp.MustCompile(`status codes: (\d+) 2xx`).FindSubmatch(output)
		if match == nil {
			return fmt.Errorf("h2load got no answers:\n%s", output)
		}
		answered, err := strconv.ParseFloat(string(match[1]), 64)
		if err != nil || answered == 0 {
			return fmt.Errorf("h2load got no answers: %v\n%s", err, output)
		}
		figures[cost] = append(figures[cost], float64(used.Microseconds())/answered)
		figures[done] = append(figures[done], answered)
		return nil
	}}
}

// idleOver measures connections of HTTP/2 that rest after one request each.
func idleOver(name string, secure bool) measurement {
	fresh, rested := "KB/idle "+name, "KB/rested "+name
	return measurement{"idle " + name, "idle", []string{fresh, rested}, func(ctx context.Context, o *options, p *place, pid int, figures samples) error {
		address := map[bool]string{true: p.secure, false: p.plain}[secure]
		before := proc.UsageOfFamily(pid).Resident
		for range o.idle {
			c, err := connect(address, secure)
			if err != nil {
				return err
			}
			defer c.client.Close()
			if err := c.ask(); err != nil {
				return err
			}
		}
		note := func(column string) {
			each := float64(proc.UsageOfFamily(pid).Resident-before) / float64(o.idle) / 1024
			figures[column] = append(figures[column], each)
		}
		note(fresh)
		select {
		case <-time.After(o.pause):
		case <-ctx.Done():
			return ctx.Err()
		}
		note(rested)
		return nil
	}}
}

// connection is one of HTTP/2.
type connection struct {
	scheme string
	client *http.ClientConn
}

// connect opens a connection of HTTP/2, by ALPN over TLS, by prior knowledge without.
func connect(address string, secure bool) (*connection, error) {
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // the certificate is of this run
		Protocols:       new(http.Protocols),
	}
	scheme := "http"
	if secure {
		scheme = "https"
	}
	transport.Protocols.SetHTTP2(secure)
	transport.Protocols.SetUnencryptedHTTP2(!secure)
	client, err := transport.NewClientConn(context.Background(), scheme, address)
	if err != nil {
		return nil, err
	}
	return &connection{scheme: scheme, client: client}, nil
}

// ask sends a request, and reads the answer.
func (c *connection) ask() error {
	request, err := http.NewRequest(http.MethodGet, c.scheme+"://balanced.test/", nil)
	if err != nil {
		return err
	}
	answer, err := c.client.RoundTrip(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("answered %s", answer.Status)
	}
	_, err = io.Copy(io.Discard, answer.Body)
	return err
}
