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
	connections, cut int // of the attackers
	frames           int
	cpu              float64 // of the balancer: percent of one CPU
	memory           int     // MB

	mu      sync.Mutex
	took    []time.Duration // guarded by mu
	failed  int             // guarded by mu
	failure error           // guarded by mu; one of them
}

// withstand runs other clients during an attack.
func (b *balancer) withstand(ctx context.Context, o options, a *attack) *result {
	attacking, enough := context.WithTimeout(ctx, o.length)
	defer enough()
	r := &result{}
	b.resetMemory()
	before, began := b.cpu(), time.Now()
	var clients, attackers sync.WaitGroup
	for range 2 {
		for _, version2 := range []bool{false, true} {
			clients.Go(func() { r.ask(attacking, "http://"+b.client+"/quick", version2, o.patience) })
		}
	}
	counts := make([]counts, a.connections)
	for i := range counts {
		attackers.Go(func() { a.repeat(attacking, b.client, &counts[i]) })
	}
	attackers.Wait()
	clients.Wait()
	for _, c := range counts {
		r.connections, r.cut, r.frames = r.connections+c.connections, r.cut+c.cut, r.frames+c.frames
	}
	r.cpu = 100 * float64(b.cpu()-before) / float64(time.Since(began))
	r.memory = b.memory()
	return r
}

// ask sends requests until ctx ends.
func (r *result) ask(ctx context.Context, url string, version2 bool, patience time.Duration) {
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
func (r *result) quantile(part float64) time.Duration {
	if len(r.took) == 0 {
		return 0
	}
	slices.Sort(r.took)
	return r.took[int(part*float64(len(r.took)-1))].Round(100 * time.Microsecond)
}
