package run

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// AwaitServer waits until the balancer's admin pages show that a server is usable,
// or is not, as wanted. It returns since when, or false if ctx ends first. It uses
// the balancer's time if that is plausible: on an overloaded machine the answer
// arrives much later than what it reports.
func AwaitServer(ctx context.Context, admin, name string, usable bool) (time.Time, bool) {
	const step = 50 * time.Millisecond
	ticker := time.NewTicker(step)
	defer ticker.Stop()
	for begin := time.Now(); ; {
		is, since, err := serverUsable(ctx, admin, name)
		now := time.Now()
		switch {
		case err != nil || is != usable:
		case since.Before(begin) || since.After(now):
			return now, true
		default:
			return since, true
		}
		select {
		case <-ctx.Done():
			return time.Time{}, false
		case <-ticker.C:
		}
	}
}

// serverUsable asks the balancer whether a server accepts clients, and since when
// it is up or down.
func serverUsable(ctx context.Context, admin, name string) (usable bool, since time.Time, err error) {
	const timeout = 15 * time.Second // a lost SYN is sent again after 1, 3 and 7 seconds
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+admin+"/api/v1/status", nil)
	if err != nil {
		return false, since, fmt.Errorf("ask the balancer's status: %w", err)
	}
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false, since, fmt.Errorf("ask the balancer's status: %w", err)
	}
	defer response.Body.Close()
	var status struct {
		Backends []struct {
			Servers []struct {
				Name   string
				Usable bool
				Since  time.Time
			}
		}
	}
	if err := json.NewDecoder(response.Body).Decode(&status); err != nil {
		return false, since, fmt.Errorf("read the balancer's status: %w", err)
	}
	for _, backend := range status.Backends {
		for _, server := range backend.Servers {
			if server.Name == name {
				return server.Usable, server.Since, nil
			}
		}
	}
	return false, since, fmt.Errorf("the balancer has no server %s", name)
}
