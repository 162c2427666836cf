package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"
)

// result holds what an attack has cost.
type result struct {
	connections, cut int64 // of the attackers
	frames           int64
	cpu              float64 // of the balancer: percent of one CPU
	memory           int     // MB

	// Of other clients: without an attack; during it; then, with another server; and then,
	// without the balancer.
	before, during, apart, direct traffic
}

// traffic is what other clients have seen.
type traffic struct {
	mu      sync.Mutex
	took    []time.Duration // guarded by mu
	failed  int             // guarded by mu
	failure error           // guarded by mu; one of them
}

// withstand measures other clients without an attack, and then during it.
func (b *balancer) withstand(ctx context.Context, o options, a *attack) *result {
	r := &result{}
	quiet, enough := context.WithTimeout(ctx, o.before)
	b.serve(quiet, o, &r.before, "/quick").Wait()
	enough()
	attacking, enough := context.WithTimeout(ctx, o.length)
	defer enough()
	b.resetMemory()
	cpu, began := b.cpu(), time.Now()
	others := b.serve(attacking, o, &r.during, "/quick")
	elsewhere := b.serve(attacking, o, &r.apart, "/apart")
	elsewhere.Go(func() { r.direct.ask(attacking, "http://"+b.server+"/quick", false, o.patience) })
	counts := make([]counts, a.connections)
	var attackers sync.WaitGroup
	for i := range counts {
		attackers.Go(func() { a.repeat(attacking, b.client, time.Duration(i)*a.spread, &counts[i]) })
	}
	attackers.Wait()
	others.Wait()
	elsewhere.Wait()
	r.cpu = 100 * float64(b.cpu()-cpu) / float64(time.Since(began))
	r.memory = b.memory()
	for i := range counts {
		c := &counts[i]
		r.connections, r.cut, r.frames = r.connections+c.connections.Load(), r.cut+c.cut.Load(), r.frames+c.frames.Load()
	}
	return r
}

// serve has four other clients send requests until ctx ends, two of them in HTTP/2.
func (b *balancer) serve(ctx context.Context, o options, r *traffic, path string) *sync.WaitGroup {
	clients := &sync.WaitGroup{}
	for range 2 {
		for _, version2 := range []bool{false, true} {
			clients.Go(func() { r.ask(ctx, "http://"+b.client+path, version2, o.patience) })
		}
	}
	return clients
}

// ask sends requests until ctx ends.
func (r *traffic) ask(ctx context.Context, url string, version2 bool, patience time.Duration) {
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetHTTP1(!version2)
	transport.Protocols.SetUnencryptedHTTP2(version2)
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: patience}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		begun := time.Now()
		err := fetch(context.WithoutCancel(ctx), client, url)
		took := time.Since(begun)
		r.mu.Lock()
		if err == nil {
			r.took = append(r.took, took)
		} else {
			r.failed++
			r.failure = err
		}
		r.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// fetch sends a request and reads the response.
func fetch(ctx context.Context, client *http.Client, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return errors.New(response.Status)
	}
	return nil
}

// quantile returns the time within which that part of the requests got a response.
func (r *traffic) quantile(part float64) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.took) == 0 {
		return 0
	}
	slices.Sort(r.took)
	return r.took[int(part*float64(len(r.took)-1))].Round(100 * time.Microsecond)
}
