package l7

import (
	"bytes"
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

// alsoHTTP2 are tests of HTTP/1.1 whose clients may as well speak HTTP/2, by what they hold.
var alsoHTTP2 = map[string][]string{
	"bodies and framing":  {"TestIntegrity", "TestMalformedAnswers", "TestOddStatus", "TestInterimWithBody", "TestServerSpeaksAtOnce", "TestUnsolicitedBytes", "TestPipelining"},
	"trailers":            {"TestTrailersCannotBringBack", "TestTrailersOfRefusedRequests", "TestClaimsInTrailersDoNotReachServers"},
	"event streams":       {"TestEndpointEvent", "TestStreamsLeftAlone", "TestStreamsAreKeptAlive", "TestNoCommentWithinAnEvent", "TestMarkBehindAComment", "TestNoComments", "TestKeepaliveIsReloaded"},
	"gzip":                {"TestGzip", "TestGzipOfASlowAnswer", "TestGzipOverTLS", "TestDigestsStayTrue", "TestAcceptEncodingOfStreams"},
	"generated responses": {"TestAnsweredHere", "TestNoServer", "TestResponseHeadersOfFailures", "TestPreflight", "TestRefusedOriginHasNoCORS", "TestOriginsAreBounded", "TestPreflightsAndRoutes", "TestAccessDeniedIsCharged"},
	"sessions and cookies": {"TestSessionGone", "TestEmptySession", "TestCookie", "TestModernRequests", "TestOddVersionsOpen", "TestLegacyEndpoints", "TestLegacyTags", "TestLegacySDK",
		"TestSessionOfStream", "TestSessionsLeft", "TestSessionOfRefusingServer", "TestSessionInTheQueue", "TestKeptByCaches", "TestCookieIsNotCached"},
	"tasks": {"TestTaskResults", "TestTaskResultsAreCompressed", "TestWhatIsNoTaskPasses", "TestTaskWithoutTag", "TestTaskRequestsAreRefused", "TestTasksOfDrainingServer", "TestTaskPollIsSentAgain",
		"TestTaskRulesSeeNoTag"},
	"who the client is": {"TestForwardedFor", "TestClientsOfProxyAreLimitedApart", "TestBannedClientOfProxy", "TestSourceAddresses", "TestHostIsSet"},
	"routes": {"TestRoutes", "TestRoutedTargets", "TestInspectedRequestsPipelined", "TestRoutesByMessage", "TestDeniedBodyOfAnotherType", "TestRouteConditions", "TestPrefixes",
		"TestPrefixIsNotForged", "TestRequestHeaders", "TestResponseHeaders", "TestFieldEdits", "TestEndpoints", "TestReload"},
	"limits": {"TestRateDelayed", "TestRouteLimits", "TestRouteLimitKeys", "TestRouteLimitAnswer", "TestRouteLimitsTogether", "TestRouteLimitDelays", "TestDelayedRequestKeepsItsPlace", "TestRouteLimitConcurrency",
		"TestPipelinedRequestsPassAtTheRate"},
	"times":   {"TestTimeoutIdle"},
	"servers": {"TestKeepAlive", "TestRedispatch", "TestReplay", "TestNoReplayOfAnswered", "TestServerStopsReading", "TestRetryAfterPause", "TestQueue", "TestHeadersOfRetries"},
}

// What holds for clients of HTTP/1.1 holds for those of HTTP/2: the same tests pass if a
// gateway between client and balancer speaks HTTP/2 to it.
func TestOverHTTP2(t *testing.T) {
	if throughHTTP2 || testing.Short() {
		t.Skip("these tests run over HTTP/2 already, or not at all")
	}
	t.Parallel()
	var names []string
	for _, some := range alsoHTTP2 {
		names = append(names, some...)
	}
	command := exec.Command(os.Args[0], "-test.v", "-test.timeout=10m", "-test.run=^("+strings.Join(names, "|")+")$")
	command.Env = append(os.Environ(), "MCPLB_OVER_HTTP2=1")
	output, err := command.CombinedOutput()
	for _, name := range names {
		if !bytes.Contains(output, []byte("\n--- PASS: "+name+" ")) {
			t.Errorf("%s does not pass over HTTP/2", name)
		}
	}
	if err != nil {
		t.Errorf("%v\n%s", err, output)
	}
}

// throughHTTP2 says that this process runs tests of HTTP/1.1 over HTTP/2: see TestOverHTTP2.
var throughHTTP2 = os.Getenv("MCPLB_OVER_HTTP2") != ""

// gateway takes clients of HTTP/1.1 and asks the balancer in HTTP/2, each client over a
// connection of its own. It holds nothing back: a client that goes is RST_STREAM.
type gateway struct {
	*http.Server
	balancer string

	mu    sync.Mutex
	conns []net.Conn // to the balancer; guarded by mu
}

// startGateway puts a gateway in front of a balancer, and returns its address.
func startGateway(t testing.TB, balancer string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gateway{balancer: balancer}
	target := &url.URL{Scheme: "http", Host: balancer}
	g.Server = &http.Server{
		ErrorLog: log.New(io.Discard, "", 0),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, transportKey{}, g.transport())
		},
		Handler: fullDuplex(&httputil.ReverseProxy{
			FlushInterval: -1, ErrorLog: log.New(io.Discard, "", 0), Transport: roundTripper{},
			Rewrite: func(r *httputil.ProxyRequest) {
				r.SetURL(target)
				r.Out.Host, r.Out.URL.RawQuery = r.In.Host, r.In.URL.RawQuery
				for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
					if values := r.In.Header[name]; values != nil {
						r.Out.Header[name] = values
					}
				}
			},
			ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
		}),
	}
	var serving sync.WaitGroup
	g.ConnState = func(_ net.Conn, s http.ConnState) {
		switch s {
		case http.StateNew:
			serving.Add(1)
		case http.StateClosed:
			serving.Done()
		}
	}
	serving.Go(func() { _ = g.Serve(listener) })
	t.Cleanup(func() {
		g.Close()
		g.mu.Lock()
		defer g.mu.Unlock()
		for _, c := range g.conns {
			c.Close()
		}
		serving.Wait()
	})
	return listener.Addr().String()
}

// fullDuplex lets a handler answer while it still reads, where a client asks for that.
func fullDuplex(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Full-Duplex") != "" {
			_ = http.NewResponseController(w).EnableFullDuplex()
		}
		h.ServeHTTP(w, r)
	})
}

// transportKey is how a request knows its client's transport.
type transportKey struct{}

// roundTripper sends each client's requests over that client's connection.
type roundTripper struct{}

// RoundTrip implements http.RoundTripper.
func (roundTripper) RoundTrip(r *http.Request) (*http.Response, error) {
	return r.Context().Value(transportKey{}).(*http.Transport).RoundTrip(r)
}

// transport returns what asks the balancer over one connection.
func (g *gateway) transport() *http.Transport {
	t := &http.Transport{DisableCompression: true, Protocols: new(http.Protocols)}
	t.Protocols.SetUnencryptedHTTP2(true)
	t.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, g.balancer)
		if err == nil {
			g.mu.Lock()
			g.conns = append(g.conns, c)
			g.mu.Unlock()
		}
		return c, err
	}
	return t
}
