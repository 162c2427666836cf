package discovery

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mcplb/conf"
	"mcplb/internal/kubeapi"
)

func podsOf(t *testing.T, a *kubeapi.API) observed {
	t.Helper()
	return observe(t, &conf.Discover{Kubernetes: a.Settings(), Weight: 100}, nil, State{})
}

// Pods come, become ready, drain and go as the API says; otherwise clients are sent to
// pods that are not there.
func TestPods(t *testing.T) {
	t.Parallel()
	a := kubeapi.Start(t)
	a.Set(kubeapi.Slice("mcp-1", 9001, kubeapi.Pod("web-1", "10.0.0.1"), kubeapi.Pod("web-2", "10.0.0.2")))
	a.Set(kubeapi.Slice("mcp-2", 9001, kubeapi.Pod("web-3", "10.0.0.3")))
	o := podsOf(t, a)
	o.await(t, "web-1=10.0.0.1:9001 web-2=10.0.0.2:9001 web-3=10.0.0.3:9001")
	a.Set(kubeapi.Slice("mcp-1", 9001, kubeapi.Pod("web-1", "10.0.0.1"),
		kubeapi.Endpoint{Pod: "web-2", Address: "10.0.0.2", NotReady: true, Serving: true, Terminating: true}))
	o.await(t, "web-1=10.0.0.1:9001 web-2=10.0.0.2:9001! web-3=10.0.0.3:9001")
	a.Set(kubeapi.Slice("mcp-1", 9001, kubeapi.Endpoint{Pod: "web-1", Address: "10.0.0.1", NotReady: true}))
	o.await(t, "web-1=10.0.0.1:9001! web-3=10.0.0.3:9001")
	a.Delete("mcp-2")
	o.await(t, "web-1=10.0.0.1:9001!")
}

// A watch that ends goes on where it was, and 410 leads to a new list, which notices
// what went meanwhile; otherwise the balancer works with pods of an hour ago.
func TestWatchEndsAndExpires(t *testing.T) {
	t.Parallel()
	a := kubeapi.Start(t)
	a.Set(kubeapi.Slice("mcp-1", 9001, kubeapi.Pod("web-1", "10.0.0.1")))
	o := podsOf(t, a)
	o.await(t, "web-1=10.0.0.1:9001")
	a.CloseWatches()
	a.Set(kubeapi.Slice("mcp-1", 9001, kubeapi.Pod("web-2", "10.0.0.2")))
	o.await(t, "web-2=10.0.0.2:9001")
	if lists, _ := a.Requests(); lists != 1 {
		t.Errorf("%d lists: a watch that ends must be resumed", lists)
	}
	a.Bookmarks(false)
	a.Forget() // while no bookmark says how far it is
	a.Delete("mcp-1")
	a.Set(kubeapi.Slice("mcp-2", 9001, kubeapi.Pod("web-3", "10.0.0.3")))
	a.CloseWatches()
	o.await(t, "web-3=10.0.0.3:9001")
	if o.State().Errors != 0 {
		t.Errorf("410 Gone counts as an error: %v", o.State().Err)
	}
}

// A bookmark says how far the watch is, so that one that ends need not list again;
// otherwise every quiet service costs the API a list every few minutes.
func TestBookmark(t *testing.T) {
	t.Parallel()
	a := kubeapi.Start(t)
	a.Set(kubeapi.Slice("mcp-1", 9001, kubeapi.Pod("web-1", "10.0.0.1")))
	o := podsOf(t, a)
	o.await(t, "web-1=10.0.0.1:9001")
	a.Forget()
	a.Set(kubeapi.Slice("mcp-1", 9001, kubeapi.Pod("web-1", "10.0.0.1"), kubeapi.Pod("web-2", "10.0.0.2"))) // and a bookmark
	o.await(t, "web-1=10.0.0.1:9001 web-2=10.0.0.2:9001")
	_, before := a.Requests()
	a.CloseWatches()
	kubeapi.Await(t, "another watch", func() bool { _, watches := a.Requests(); return watches > before })
	if lists, _ := a.Requests(); lists != 1 {
		t.Errorf("%d lists", lists)
	}
}

// An API that ends every watch is not hammered.
func TestNoHammering(t *testing.T) {
	t.Parallel()
	a := kubeapi.Start(t)
	a.Set(kubeapi.Slice("mcp-1", 9001, kubeapi.Pod("web-1", "10.0.0.1")))
	a.EndWatches(true)
	o := podsOf(t, a)
	o.await(t, "web-1=10.0.0.1:9001")
	began := time.Now()
	_, before := a.Requests()
	kubeapi.Await(t, "five more watches", func() bool { _, watches := a.Requests(); return watches >= before+5 })
	if took := time.Since(began); took < time.Second {
		t.Errorf("five watches in %v", took)
	}
	if lists, _ := a.Requests(); lists != 1 {
		t.Errorf("%d lists", lists)
	}
	a.EndWatches(false)
	a.Set(kubeapi.Slice("mcp-1", 9001, kubeapi.Pod("web-2", "10.0.0.2")))
	o.await(t, "web-2=10.0.0.2:9001")
}

// An API that fails takes nothing away, is reported, and is asked again.
func TestAPIFails(t *testing.T) {
	t.Parallel()
	a := kubeapi.Start(t)
	a.Set(kubeapi.Slice("mcp-1", 9001, kubeapi.Pod("web-1", "10.0.0.1")))
	o := podsOf(t, a)
	o.await(t, "web-1=10.0.0.1:9001")
	a.Fail(http.StatusForbidden)
	o.awaitError(t, "list and watch endpointslices")
	o.await(t, "web-1=10.0.0.1:9001")
	a.Fail(0)
	o.awaitError(t, "")
	a.Set(kubeapi.Slice("mcp-1", 9001, kubeapi.Pod("web-2", "10.0.0.2")))
	o.await(t, "web-2=10.0.0.2:9001")
}

// The token is read again for every request: Kubernetes replaces it every hour.
func TestTokenRotates(t *testing.T) {
	t.Parallel()
	a := kubeapi.Start(t)
	a.Set(kubeapi.Slice("mcp-1", 9001, kubeapi.Pod("web-1", "10.0.0.1")))
	o := podsOf(t, a)
	a.Rotate(t, "second")
	a.CloseWatches()
	a.Set(kubeapi.Slice("mcp-1", 9001, kubeapi.Pod("web-2", "10.0.0.2")))
	o.await(t, "web-2=10.0.0.2:9001")
	if tokens := strings.Join(a.Tokens(), " "); !strings.HasPrefix(tokens, "first") || !strings.HasSuffix(tokens, "second") || o.State().Errors != 0 {
		t.Errorf("tokens %q, error %v", tokens, o.State().Err)
	}
}

// A pod that moves from one slice to another never goes; otherwise its clients and
// counters would.
func TestMoveBetweenSlices(t *testing.T) {
	t.Parallel()
	a := kubeapi.Start(t)
	web1, web2 := kubeapi.Pod("web-1", "10.0.0.1"), kubeapi.Pod("web-2", "10.0.0.2")
	a.Set(kubeapi.Slice("mcp-1", 9001, web1, web2))
	o := podsOf(t, a)
	o.await(t, "web-1=10.0.0.1:9001 web-2=10.0.0.2:9001")
	before, at := o.State().Updates, o.State().At
	a.Set(kubeapi.Slice("mcp-1", 9001, web1))
	kubeapi.Await(t, "the slice without web-2 has arrived", func() bool { return o.State().At.After(at) })
	a.Set(kubeapi.Slice("mcp-2", 9001, web2))
	a.Set(kubeapi.Slice("mcp-3", 9001, kubeapi.Pod("web-3", "10.0.0.3"))) // shows when it has all arrived
	o.await(t, "web-1=10.0.0.1:9001 web-2=10.0.0.2:9001 web-3=10.0.0.3:9001")
	if n := o.State().Updates - before; n != 1 {
		t.Errorf("%d updates: web-2 went for a moment", n)
	}
}

// A pod is one server, over families and slices, whatever their order; a pod of the
// same name that terminates does not hide the one that replaces it.
func TestOneServerPerPod(t *testing.T) {
	t.Parallel()
	k := newByKubernetes(&conf.Discover{Kubernetes: &conf.Kubernetes{Ports: conf.NamedPorts{TCP: "mcp", HTTP: "http"}}})
	port, other := 9001, 8080
	name, http := "mcp", "http"
	endpoint := func(address, uid string, ready, terminating bool) podEndpoint {
		e := podEndpoint{Addresses: []string{address}}
		e.TargetRef = &struct{ Kind, Name, UID string }{"Pod", "web-0", uid}
		e.Conditions.Ready, e.Conditions.Terminating = &ready, &terminating
		return e
	}
	made := func(list ...podEndpoint) *slice {
		s := &slice{Endpoints: list}
		s.Ports = append(s.Ports, struct {
			Name *string
			Port *int
		}{&name, &port})
		return s
	}
	withHTTP := made(endpoint("10.0.0.1", "a", true, false))
	withHTTP.Ports[0].Name, withHTTP.Ports[0].Port = &http, &other
	for what, test := range map[string]struct {
		slices map[string]*slice
		want   string
		leaves bool
	}{
		"two families": {map[string]*slice{"1": made(endpoint("fd00::1", "a", true, false)), "2": made(endpoint("10.0.0.1", "a", true, false))}, "10.0.0.1:9001", false},
		"ports apart":  {map[string]*slice{"1": withHTTP, "2": made(endpoint("10.0.0.1", "a", true, false))}, "10.0.0.1:9001", false},
		"twice":        {map[string]*slice{"1": made(endpoint("10.0.0.1", "a", true, false)), "2": made(endpoint("10.0.0.1", "a", true, true))}, "10.0.0.1:9001", true},
		"replaced":     {map[string]*slice{"1": made(endpoint("10.0.0.9", "old", false, true)), "2": made(endpoint("10.0.0.1", "a", true, false))}, "10.0.0.1:9001", false},
		"replaced, later": {map[string]*slice{
			"2": made(endpoint("10.0.0.9", "old", false, true)), "1": made(endpoint("10.0.0.1", "a", true, false)),
		}, "10.0.0.1:9001", false},
	} {
		k.slices = test.slices
		pods := k.pods()
		if s := pods["web-0"]; len(pods) != 1 || s.TCP != test.want || s.NoNewClients != test.leaves {
			t.Errorf("%s: %+v", what, pods)
		}
	}
}

// Named ports, numbers, and the only port that has no name.
func TestPorts(t *testing.T) {
	t.Parallel()
	number, name := 9001, "mcp"
	unnamed := &slice{}
	unnamed.Ports = append(unnamed.Ports, struct {
		Name *string
		Port *int
	}{nil, &number})
	named := &slice{}
	named.Ports = append(named.Ports, struct {
		Name *string
		Port *int
	}{&name, &number})
	for _, test := range []struct {
		s      *slice
		wanted string
		want   int
	}{{named, "mcp", 9001}, {named, "http", 0}, {named, "7", 7}, {unnamed, "mcp", 9001}, {unnamed, "", 0}} {
		if got := test.s.port(test.wanted); got != test.want {
			t.Errorf("%q: %d, want %d", test.wanted, got, test.want)
		}
	}
}

// Whoever is at the API's address does not get the token unless it has a certificate of
// the CA: it would be master of the cluster.
func TestNoTokenForStrangers(t *testing.T) {
	t.Parallel()
	a := kubeapi.Start(t)
	var asked atomic.Int32
	stranger := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer stranger.Close()
	c := a.Settings()
	other := t.TempDir() + "/ca.crt"
	text, err := os.ReadFile("testdata/other-ca.crt")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(other, text, 0o600); err != nil {
		t.Fatal(err)
	}
	c.API, c.CA = stranger.URL, other
	o := observe(t, &conf.Discover{Kubernetes: c}, nil, State{})
	o.awaitError(t, "certificate")
	if n := asked.Load(); n != 0 {
		t.Errorf("%d requests", n)
	}
}
