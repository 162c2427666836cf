package discovery

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"mcplb/conf"
)

const (
	// listLimit is how many slices a page of a list has (the API's clients use 500).
	listLimit = "500"
	// watchTime is for how long a watch is asked for at least; it is up to twice as long,
	// so that not all clients come back at once.
	watchTime = 5 * time.Minute
	// goneTime is how long a pod must be missing before it counts as gone: one that moves
	// to another slice may be in none for a moment.
	goneTime = time.Second
	// gatherTime is how long further events are waited for after one.
	gatherTime = 20 * time.Millisecond
	// soundTime is how long a watch must last to count as one that works.
	soundTime = 5 * time.Second
)

// byKubernetes finds the pods of a service, by list and watch of its EndpointSlices
// (Kubernetes API concepts, "Efficient detection of changes").
//
//	state     event                                   next
//	listing   every page has come                     watching, from the list's version
//	listing   410 in the middle of pages              listing, from the start, after a pause
//	listing   any other error                         listing, after a pause
//	watching  an event, a bookmark                    watching; its version is noted
//	watching  410, as answer or event                 listing, after a pause
//	watching  the watch ends, or any other error      watching, from the noted version, after
//	                                                  a pause
//
// The pause is doubled each time, and short again once a watch has lasted for
// soundTime: an API that ends every watch is not asked more often for that.
type byKubernetes struct {
	settings *conf.Discover
	api      *apiClient

	slices  map[string]*slice // by name
	version string            // from which to watch; "" = a list is needed
	retry   retry
	missing map[string]missingPod // pods that were in a slice and are in none
	last    map[string]conf.Server
	timer   *time.Timer // when to report next
	pending bool        // the timer is for events
}

// missingPod is a pod that is in no slice.
type missingPod struct {
	server conf.Server
	until  time.Time // when it counts as gone
}

func newByKubernetes(c *conf.Discover) *byKubernetes {
	return &byKubernetes{
		settings: c, api: &apiClient{settings: c.Kubernetes}, slices: map[string]*slice{},
		retry: retry{first: 100 * time.Millisecond, most: 15 * time.Second}, missing: map[string]missingPod{},
	}
}

// Run implements Source.
func (k *byKubernetes) Run(ctx context.Context, report func([]conf.Server, error)) {
	defer k.api.close()
	events := make(chan event)
	go k.follow(ctx, events)
	k.timer = time.NewTimer(time.Hour)
	defer k.timer.Stop()
	for {
		select {
		case e, open := <-events:
			if !open {
				return
			}
			if e.err != nil {
				report(nil, e.err)
				continue
			}
			e.apply(k)
			if !k.pending {
				k.pending = true
				k.timer.Reset(gatherTime)
			}
		case now := <-k.timer.C:
			k.pending = false
			report(k.found(now), nil)
		}
	}
}

// event is something that the API has said.
type event struct {
	replace bool // slices are all that there are
	slices  []*slice
	deleted string // the name of a slice
	err     error
}

// apply brings the slices to what an event says.
func (e *event) apply(k *byKubernetes) {
	if e.replace {
		clear(k.slices)
	}
	for _, s := range e.slices {
		k.slices[s.Metadata.Name] = s
	}
	delete(k.slices, e.deleted)
}

// found returns the servers of all slices, and those that have just vanished, and
// sets the timer for when one of these is gone.
func (k *byKubernetes) found(now time.Time) (servers []conf.Server) {
	present := k.pods()
	for name, server := range k.last {
		if _, there := present[name]; !there {
			k.missing[name] = missingPod{server, now.Add(goneTime)}
		}
	}
	k.last = present
	next := time.Hour
	for name, m := range k.missing {
		_, back := present[name]
		if left := m.until.Sub(now); back || left <= 0 {
			delete(k.missing, name)
		} else {
			servers = append(servers, m.server)
			next = min(next, left)
		}
	}
	for _, server := range present {
		servers = append(servers, server)
	}
	k.timer.Reset(next)
	return servers
}

// follow lists and watches until ctx ends, and sends what it learns.
func (k *byKubernetes) follow(ctx context.Context, events chan<- event) {
	defer close(events)
	send := func(e event) {
		select {
		case events <- e:
		case <-ctx.Done():
		}
	}
	for ctx.Err() == nil {
		began := time.Now()
		err := k.step(ctx, send)
		if time.Since(began) >= soundTime && k.version != "" {
			k.retry.reset()
		}
		var wait *retryAfterError
		pause := k.retry.pause()
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, errTooOld):
			k.version = ""
		case errors.As(err, &wait):
			pause = max(pause, min(wait.after, time.Minute))
			send(event{err: err})
		case err != nil:
			send(event{err: err})
		}
		sleep(ctx, pause)
	}
}

// step lists, if that is needed, and then watches once. The watch's ordinary end is no
// error.
func (k *byKubernetes) step(ctx context.Context, send func(event)) error {
	if k.version == "" {
		list, version, err := k.list(ctx)
		if err != nil {
			return err
		}
		k.version = version
		send(event{replace: true, slices: list})
	}
	return k.watch(ctx, send)
}

// errTooOld is the API's answer to a version that it has forgotten: 410 Gone.
var errTooOld = errors.New("the API has forgotten the version to continue from (410 Gone)")

// list returns all slices of the service, and their version.
func (k *byKubernetes) list(ctx context.Context) (all []*slice, version string, err error) {
	query := k.query()
	query.Set("limit", listLimit)
	for {
		var page slicePage
		body, err := k.api.get(ctx, k.path(), query, listTime)
		if err != nil {
			return nil, "", err
		}
		err = json.NewDecoder(io.LimitReader(body, mostList)).Decode(&page)
		body.Close()
		if err != nil {
			return nil, "", fmt.Errorf("the API's list of EndpointSlices is not JSON: %w", err)
		}
		for i := range page.Items {
			all = append(all, &page.Items[i])
		}
		if page.Metadata.Continue == "" {
			return all, page.Metadata.ResourceVersion, nil
		}
		query.Set("continue", page.Metadata.Continue)
	}
}

// slicePage is an answer to list: an EndpointSliceList.
type slicePage struct {
	Metadata struct{ ResourceVersion, Continue string }
	Items    []slice
}

const (
	listTime = 30 * time.Second // for one page
	mostList = 64 << 20         // bytes of a page
)

// query returns the parameters of every request.
func (k *byKubernetes) query() url.Values {
	return url.Values{"labelSelector": {"kubernetes.io/service-name=" + k.settings.Kubernetes.Service}}
}

// path is where the slices of the namespace are.
func (k *byKubernetes) path() string {
	namespace := k.settings.Kubernetes.Namespace
	if namespace == "" {
		beside := filepath.Join(filepath.Dir(k.settings.Kubernetes.TokenFile), "namespace")
		text, _ := os.ReadFile(beside) // as a pod has it
		namespace = cmp.Or(strings.TrimSpace(string(text)), "default")
	}
	return "/apis/discovery.k8s.io/v1/namespaces/" + url.PathEscape(namespace) + "/endpointslices"
}

// watch watches once, from the noted version on.
func (k *byKubernetes) watch(ctx context.Context, send func(event)) error {
	lasting := watchTime + rand.N(watchTime)
	query := k.query()
	query.Set("watch", "1")
	query.Set("allowWatchBookmarks", "true")
	query.Set("resourceVersion", k.version)
	query.Set("timeoutSeconds", fmt.Sprint(int(lasting.Seconds())))
	body, err := k.api.get(ctx, k.path(), query, lasting+30*time.Second)
	if err != nil {
		return err
	}
	defer body.Close()
	send(event{}) // it can be asked: an error is over
	decoder := json.NewDecoder(body)
	for {
		var said watchEvent
		if err := decoder.Decode(&said); err != nil {
			return nil //nolint:nilerr // however a watch ends, it is resumed
		}
		if err := k.heard(&said, send); err != nil {
			return err
		}
	}
}

// watchEvent is a line of a watch.
type watchEvent struct {
	Type   string // ADDED, MODIFIED, DELETED, BOOKMARK, ERROR
	Object json.RawMessage
}

// heard takes over what a watch says.
func (k *byKubernetes) heard(said *watchEvent, send func(event)) error {
	if said.Type == "ERROR" {
		return failureOf(said.Object)
	}
	s := &slice{}
	if err := json.Unmarshal(said.Object, s); err != nil {
		return fmt.Errorf("the API's watch has an object that is no EndpointSlice: %w", err)
	}
	switch said.Type {
	case "ADDED", "MODIFIED":
		send(event{slices: []*slice{s}})
	case "DELETED":
		send(event{deleted: s.Metadata.Name})
	}
	if v := s.Metadata.ResourceVersion; v != "" {
		k.version = v
	}
	return nil
}

// failureOf returns the error of a Status, as the API describes one.
func failureOf(object []byte) error {
	var status struct {
		Code    int
		Message string
		Reason  string
	}
	if json.Unmarshal(object, &status) == nil && (status.Code == http.StatusGone || status.Reason == "Expired" || status.Reason == "Gone") {
		return errTooOld
	}
	return fmt.Errorf("the API ends the watch: %s", cmp.Or(status.Message, status.Reason, "no reason given"))
}
