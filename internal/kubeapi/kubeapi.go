package kubeapi

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"mcplb/conf"
)

// API is a running API. Its methods may be called by any goroutine.
type API struct {
	server *httptest.Server
	dir    string

	mu       sync.Mutex
	changed  *sync.Cond
	token    string
	version  int
	oldest   int            // events before it are forgotten
	upTo     int            // the version when they were: who is there has missed nothing
	events   []event        // all since the start
	slices   map[string]any // by name
	closings int            // watches that began before are to be ended
	lists    int
	watches  int
	tokens   []string // of requests, in order
	failWith int      // status of every request; 0 = none
	atOnce   bool     // every watch ends at once
	bookmark bool
}

type event struct {
	version int
	kind    string
	object  any
}

// Endpoint is one endpoint of a slice.
type Endpoint struct {
	Pod         string // "" = no pod
	UID         string // "" = made of Pod
	Address     string
	NotReady    bool
	Serving     bool // only with NotReady
	Terminating bool
}

// Start starts an API, which ends with the test.
func Start(t testing.TB) *API {
	t.Helper()
	a := &API{dir: t.TempDir(), token: "first", slices: map[string]any{}, version: 100, oldest: 100, bookmark: true}
	a.changed = sync.NewCond(&a.mu)
	a.server = httptest.NewUnstartedServer(http.HandlerFunc(a.serve))
	a.server.EnableHTTP2 = true
	a.server.StartTLS()
	a.write(t, "ca.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.server.Certificate().Raw})))
	a.write(t, "token", a.token+"\n")
	a.write(t, "namespace", "apps")
	t.Cleanup(func() {
		a.CloseWatches()
		a.server.CloseClientConnections()
		a.server.Close()
	})
	return a
}

func (a *API) write(t testing.TB, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(a.dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Settings returns the settings that find the pods of service mcp here.
func (a *API) Settings() *conf.Kubernetes {
	return &conf.Kubernetes{
		Service: "mcp", API: a.server.URL, TokenFile: filepath.Join(a.dir, "token"), CA: filepath.Join(a.dir, "ca.crt"),
		Ports: conf.NamedPorts{TCP: "mcp"},
	}
}

// Slice returns an EndpointSlice as a real API shows it, with one port called mcp.
func Slice(name string, port int, endpoints ...Endpoint) map[string]any {
	list := []any{}
	family := "IPv4"
	for _, e := range endpoints {
		if strings.Contains(e.Address, ":") {
			family = "IPv6"
		}
		one := map[string]any{
			"addresses":  []any{e.Address},
			"conditions": map[string]any{"ready": !e.NotReady, "serving": !e.NotReady || e.Serving, "terminating": e.Terminating},
			"nodeName":   "worker-1",
		}
		if e.Pod != "" {
			uid := e.UID
			if uid == "" {
				uid = "uid-" + e.Pod
			}
			one["targetRef"] = map[string]any{"kind": "Pod", "namespace": "apps", "name": e.Pod, "uid": uid}
		}
		list = append(list, one)
	}
	return map[string]any{
		"kind": "EndpointSlice", "apiVersion": "discovery.k8s.io/v1", "addressType": family, "endpoints": list,
		"metadata": map[string]any{"name": name, "generateName": "mcp-", "namespace": "apps", "labels": map[string]any{
			"kubernetes.io/service-name": "mcp", "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
		}},
		"ports": []any{map[string]any{"name": "mcp", "protocol": "TCP", "port": port}},
	}
}

// Set creates or changes a slice.
func (a *API) Set(slice map[string]any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	name := slice["metadata"].(map[string]any)["name"].(string)
	kind := "MODIFIED"
	if a.slices[name] == nil {
		kind = "ADDED"
	}
	a.note(kind, slice)
	a.slices[name] = slice
}

// Delete deletes a slice.
func (a *API) Delete(name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if slice, ok := a.slices[name].(map[string]any); ok {
		a.note("DELETED", slice)
		delete(a.slices, name)
	}
}

// note appends an event. The lock is held.
func (a *API) note(kind string, slice map[string]any) {
	a.version++
	metadata := slice["metadata"].(map[string]any)
	copied := map[string]any{}
	for k, v := range metadata {
		copied[k] = v
	}
	copied["resourceVersion"] = strconv.Itoa(a.version)
	slice["metadata"] = copied
	object := map[string]any{}
	for k, v := range slice {
		object[k] = v
	}
	a.events = append(a.events, event{a.version, kind, object})
	a.changed.Broadcast()
}

// CloseWatches ends every watch, as a real API does every few minutes.
func (a *API) CloseWatches() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closings++
	a.changed.Broadcast()
}

// Forget forgets all events: who asks for older ones gets 410 Gone.
func (a *API) Forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.upTo = a.version
	a.version += 1000
	a.oldest = a.version
	a.events = nil
}

// Bookmarks says whether watches that have nothing to say send bookmarks.
func (a *API) Bookmarks(on bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.bookmark = on
}

// EndWatches makes every watch end at once.
func (a *API) EndWatches(on bool) {
	a.mu.Lock()
	a.atOnce = on
	a.mu.Unlock()
	a.CloseWatches()
}

// Fail makes every request fail with a status; 0 = none.
func (a *API) Fail(status int) {
	a.mu.Lock()
	a.failWith = status
	a.mu.Unlock()
	a.CloseWatches()
}

// Rotate replaces the token; the old one is not accepted any more.
func (a *API) Rotate(t testing.TB, token string) {
	t.Helper()
	a.write(t, "token", token)
	a.mu.Lock()
	a.token = token
	a.mu.Unlock()
}

// Requests returns how many lists and watches there were.
func (a *API) Requests() (lists, watches int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.lists, a.watches
}

// Tokens returns the tokens of all requests.
func (a *API) Tokens() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]string(nil), a.tokens...)
}

func (a *API) serve(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	a.tokens = append(a.tokens, token)
	status, valid := a.failWith, token == a.token
	a.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	switch {
	case status == 0 && !valid:
		status = http.StatusUnauthorized
	case r.URL.Path != "/apis/discovery.k8s.io/v1/namespaces/apps/endpointslices",
		r.URL.Query().Get("labelSelector") != "kubernetes.io/service-name=mcp":
		status = http.StatusForbidden
	}
	if status != 0 {
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"kind":"Status","status":"Failure","message":"endpointslices is forbidden: status %d","code":%d}`, status, status)
		return
	}
	if r.URL.Query().Get("watch") == "1" {
		a.watch(w, r)
		return
	}
	a.list(w, r)
}

// list answers with pages of one slice, so that paging is always met.
func (a *API) list(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.lists++
	var names []string
	for name := range a.slices {
		names = append(names, name)
	}
	slices.Sort(names)
	at, _ := strconv.Atoi(r.URL.Query().Get("continue"))
	items, next := []any{}, ""
	if at < len(names) {
		items = append(items, a.slices[names[at]])
	}
	if at+1 < len(names) {
		next = strconv.Itoa(at + 1)
	}
	json.NewEncoder(w).Encode(map[string]any{
		"kind": "EndpointSliceList", "apiVersion": "discovery.k8s.io/v1", "items": items,
		"metadata": map[string]any{"resourceVersion": strconv.Itoa(a.version), "continue": next},
	})
}

func (a *API) watch(w http.ResponseWriter, r *http.Request) {
	from, _ := strconv.Atoi(r.URL.Query().Get("resourceVersion"))
	send := func(kind string, object any) {
		json.NewEncoder(w).Encode(map[string]any{"type": kind, "object": object})
		w.(http.Flusher).Flush()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.watches++
	closings, end := a.closings, a.atOnce
	go func() { // wakes the loop below when the client has gone
		<-r.Context().Done()
		a.changed.Broadcast()
	}()
	if from < a.oldest { // as an event: what a real API does once the watch has begun
		send("ERROR", map[string]any{"kind": "Status", "code": http.StatusGone, "reason": "Expired", "message": "too old resource version"})
		return
	}
	w.WriteHeader(http.StatusOK)
	w.(http.Flusher).Flush()
	for {
		if from < a.oldest && from < a.upTo {
			return // it has missed something
		}
		from = max(from, a.oldest)
		for _, e := range a.events {
			if e.version > from {
				send(e.kind, e.object)
				from = e.version
			}
		}
		if a.bookmark {
			send("BOOKMARK", map[string]any{"kind": "EndpointSlice", "apiVersion": "discovery.k8s.io/v1", "metadata": map[string]any{"resourceVersion": strconv.Itoa(a.version)}})
		}
		if end || a.closings != closings || r.Context().Err() != nil {
			return
		}
		a.changed.Wait()
	}
}

// Pod returns a slice's endpoint of a pod that is ready.
func Pod(name, address string) Endpoint { return Endpoint{Pod: name, Address: address} }

// Await waits until is returns true.
func Await(t testing.TB, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("in vain: %s", what)
		}
	}
}
