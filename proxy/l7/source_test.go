package l7

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"mcplb/conf"
	"mcplb/proxy/http1"
	"mcplb/proxy/session"
)

// prefixes parses CIDRs.
func prefixes(texts ...string) (list []netip.Prefix) {
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

// Who a request is from decides whose limit it counts for: a client must not be able
// to name another, and what one proxy in a chain adds must not hide the client.
func TestForwardedFor(t *testing.T) { // not parallel, for AllocsPerRun
	settings := session.Settings{Frontend: conf.Frontend{TrustedProxies: prefixes("10.0.0.0/8", "fd00::/8")}}
	many := strings.TrimSuffix(strings.Repeat("10.0.0.9, ", 1000), ", ")
	for _, c := range []struct {
		lines []string
		want  string // "" = none is named
	}{
		{nil, ""},
		{[]string{""}, ""},
		{[]string{" , ,, "}, ""},
		{[]string{"192.0.2.9"}, "192.0.2.9:0"},
		{[]string{"1.1.1.1, 192.0.2.9"}, "192.0.2.9:0"},
		{[]string{"1.1.1.1,192.0.2.9"}, "192.0.2.9:0"},
		{[]string{"192.0.2.9, 10.0.0.2"}, "192.0.2.9:0"},
		{[]string{"192.0.2.9", "10.0.0.2"}, "192.0.2.9:0"},
		{[]string{"1.1.1.1", "192.0.2.9, 10.0.0.3", "fd00::2, 10.0.0.2"}, "192.0.2.9:0"},
		{[]string{"192.0.2.9", "", " , "}, "192.0.2.9:0"},
		{[]string{",192.0.2.9,,10.0.0.2,"}, "192.0.2.9:0"},
		{[]string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3:0"},
		{[]string{"10.0.0.3", "10.0.0.2"}, "10.0.0.3:0"},
		{[]string{many}, "10.0.0.9:0"},
		{[]string{"1.1.1.1, " + many}, "10.0.0.9:0"}, // further than anybody has proxies
		{[]string{"192.0.2.9:5678"}, "192.0.2.9:5678"},
		{[]string{"[2001:db8::1]:443"}, "[2001:db8::1]:443"},
		{[]string{"[2001:db8::1]"}, "[2001:db8::1]:0"},
		{[]string{"2001:DB8::1"}, "[2001:db8::1]:0"},
		{[]string{"2001:db8::1, [fd00::2]:80"}, "[2001:db8::1]:0"},
		{[]string{"::ffff:192.0.2.1"}, "192.0.2.1:0"},
		{[]string{"[::ffff:192.0.2.1]:80"}, "192.0.2.1:80"},
		{[]string{"192.0.2.9, ::ffff:10.0.0.1"}, "192.0.2.9:0"},

		// What is no address ends the search: what stands before it may be forged.
		{[]string{"192.0.2.9, unknown"}, ""},
		{[]string{"192.0.2.9, _hidden, 10.0.0.2"}, "10.0.0.2:0"},
		{[]string{"192.0.2.9, garbage, 10.0.0.3, 10.0.0.2"}, "10.0.0.3:0"},
		{[]string{"unknown, 192.0.2.9:77"}, "192.0.2.9:77"},
		{[]string{"192.0.2.9", "unknown"}, ""},
		{[]string{"192.0.2.9, 192.0.2"}, ""},
		{[]string{"192.0.2.9, 192.0.2.256"}, ""},
		{[]string{"192.0.2.9, 192.0.2.8:"}, ""},
		{[]string{"192.0.2.9, 192.0.2.8:65536"}, ""},
		{[]string{"192.0.2.9, 192.0.2.8:x"}, ""},
		{[]string{"192.0.2.9, [192.0.2.8]"}, ""},
		{[]string{"192.0.2.9, [2001:db8::1"}, ""},
		{[]string{"192.0.2.9, ["}, ""},
		{[]string{"192.0.2.9, []"}, ""},
		{[]string{"192.0.2.9, [2001:db8::1]443"}, ""},
		{[]string{"192.0.2.9, fe80::1%eth0"}, ""},
		{[]string{"192.0.2.9, \"192.0.2.8\""}, ""},
		{[]string{"192.0.2.9, 192.0.2.8 192.0.2.7"}, ""},
		{[]string{"192.0.2.9, " + strings.Repeat("1", 5000)}, ""},
	} {
		text := "GET / HTTP/1.1\r\nHost: x\r\n"
		for _, line := range c.lines {
			text += "X-Forwarded-For: " + line + "\r\nX-Other: 192.0.2.77\r\n"
		}
		var head http1.RequestHead
		var scan http1.Scan
		if n, reason := head.Parse([]byte(text+"\r\n"), &scan, http1.MaxHead); n == 0 {
			t.Fatal(reason)
		}
		got, ok := forwardedFor(&head, &settings)
		if ok != (c.want != "") || ok && got.String() != c.want {
			t.Errorf("%.200q: %v, want %q", c.lines, got, c.want)
		}
		if n := testing.AllocsPerRun(10, func() { forwardedFor(&head, &settings) }); n != 0 && ok && !strings.ContainsAny(text[len("GET / HTTP/1.1"):], "_g") {
			t.Errorf("%.200q: %v allocations", c.lines, n)
		}
	}
}

// behindProxy makes every client a trusted proxy.
func behindProxy(s *setup) { s.frontend.TrustedProxies = prefixes("127.0.0.0/8") }

// of is a GET that a proxy forwards for a client; "" = its own.
func of(client string) string {
	if client == "" {
		return get("/")
	}
	return get("/", "X-Forwarded-For: "+client)
}

// A busy client behind a proxy must not cost the others theirs: each client has its
// own rate, whichever of the proxy's connections its requests come over, and the
// proxy has no limits at all.
func TestClientsOfProxyAreLimitedApart(t *testing.T) {
	t.Parallel()
	b := start(t, []string{httpServer(t, echo)}, withStoppedTime, behindProxy, withLimits(func(l *conf.RateLimit) {
		l.ConnectionRate, l.ConnectionBurst, l.MaxConnections = 1, 1, 1
		l.MessageRate, l.MessageBurst, l.OverMessage = 1, 2, conf.Reject
	}))
	one, two := b.dial(), b.dial()
	for i, step := range []struct {
		over   *httpConn
		client string
		want   int
	}{
		{one, "192.0.2.1", 200}, {two, "192.0.2.1:99", 200}, {one, "192.0.2.1", 429}, {two, "192.0.2.1", 429},
		{one, "192.0.2.2", 200}, {two, "2001:db8::1", 200}, {one, "2001:db8::2", 200}, {two, "2001:db8::3", 429},
		{one, "", 200}, {one, "unknown", 200}, {two, "", 429}, {two, "192.0.2.3", 200},
	} {
		step.over.Say(of(step.client))
		if r, _ := step.over.response("GET"); r.StatusCode != step.want || r.Close {
			t.Errorf("request %d, of %q: %d (closing: %v), want %d", i, step.client, r.StatusCode, r.Close, step.want)
		}
	}
	b.Eventually("no source counts as connected, while no request is under way", func() bool { return b.Limiter.Stats(b.Now()).Connected == 0 })
}

// A malformed head on a proxy's connection names nobody, and is charged to the proxy: with
// the source of no client in charge it was free (issue 12, B2 and B3).
func TestMalformedHeadsOfProxyAreCharged(t *testing.T) {
	t.Parallel()
	b := start(t, []string{httpServer(t, echo)}, withStoppedTime, behindProxy, withLimits(func(l *conf.RateLimit) {
		l.MessageRate, l.MessageBurst, l.OverMessage, l.BanAfter = 1, 2, conf.Reject, 3
	}))
	for i, want := range []int{400, 400, 429, 429, 429, 429} {
		client := b.dial()
		client.Say("GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.1\r\nNo Field\r\n\r\n")
		if r, _ := client.response("GET"); r.StatusCode != want {
			t.Errorf("malformed request %d: %d, want %d", i, r.StatusCode, want)
		}
	}
	client := b.dial()
	client.Say(of("192.0.2.1"))
	client.wantStatus("GET", 200)
	if bans := b.Limiter.Bans(b.Now()); len(bans) != 0 {
		t.Errorf("bans %+v", bans)
	}
}

// A client that is banned, by its violations or an operator, is refused by itself:
// a reset would cut the others' requests on the proxy's connection. The proxy is
// never banned.
func TestBannedClientOfProxy(t *testing.T) {
	t.Parallel()
	b := start(t, []string{httpServer(t, echo)}, withStoppedTime, behindProxy, withLimits(func(l *conf.RateLimit) {
		l.MessageRate, l.MessageBurst, l.OverMessage, l.BanAfter, l.BanTime = 1, 1, conf.Reject, 3, time.Minute
	}))
	client := b.dial()
	say := func(of string, want int, retryAfter string) {
		t.Helper()
		client.Say(rpcPost("7", "X-Forwarded-For: "+of))
		r, body := client.wantStatus("POST", want)
		if got := r.Header.Get("Retry-After"); got != retryAfter || r.Close {
			t.Errorf("of %s: Retry-After %q, closing %v", of, got, r.Close)
		}
		if want == 403 {
			if e := parseRPC(t, body); string(e.ID) != "7" {
				t.Errorf("of %s: %q", of, body)
			}
		}
	}
	say("192.0.2.1", 200, "")
	for range 3 {
		say("192.0.2.1", 429, "1")
	}
	say("192.0.2.1", 403, "60")
	say("192.0.2.2", 200, "")
	b.Limiter.BanRange(netip.MustParsePrefix("198.51.100.0/24"), 0, b.Now())
	b.Limiter.BanRange(netip.MustParsePrefix("127.0.0.0/8"), 0, b.Now())
	b.Limiter.Ban(netip.MustParseAddr("127.0.0.1"), 0, b.Now())
	say("198.51.100.7", 403, "")
	say("203.0.113.1, 127.0.0.9", 200, "")
	client.Say(get("/"))
	client.wantStatus("GET", 200) // the proxy's own
	for range 5 {
		client.Say(get("/"))
		client.wantStatus("GET", 429)
	}
	if bans := b.Limiter.Bans(b.Now()); len(bans) != 4 {
		t.Errorf("bans %+v, want the client's and the three manual ones", bans)
	}
	b.Advance(time.Minute)
	say("192.0.2.1", 200, "")
	other := b.dial()
	other.Say(of("192.0.2.9"))
	other.wantStatus("GET", 200)
	if n := b.frontend.Totals().Own[Banned.String()]; n != 2 {
		t.Errorf("%d requests of banned clients are counted, want 2", n)
	}
}

// forwarded_for = false: the connection's address is the source of every request,
// and what a header says is not believed.
func TestWithoutForwardedFor(t *testing.T) {
	t.Parallel()
	b := start(t, []string{httpServer(t, echo)}, withStoppedTime, behindProxy,
		withFrontend(func(f *conf.Frontend) { f.ForwardedFor = false }),
		withLimits(func(l *conf.RateLimit) {
			l.ConnectionRate, l.ConnectionBurst, l.MessageRate, l.MessageBurst, l.OverMessage, l.BanAfter = 1, 1, 1, 2, conf.Reject, 1
		}))
	var clients []*httpConn
	for range 4 {
		clients = append(clients, b.dial()) // as many as it likes
	}
	b.awaitState("reading", 4)
	for i, want := range []int{200, 200, 429, 429} {
		client := clients[i]
		client.Say(of("192.0.2." + string(rune('1'+i))))
		client.wantStatus("GET", want)
	}
}

// Peers that are not trusted cannot evade a limit by naming somebody else.
func TestUntrustedForwardedFor(t *testing.T) {
	t.Parallel()
	b := start(t, []string{httpServer(t, echo)}, withStoppedTime,
		withFrontend(func(f *conf.Frontend) { f.TrustedProxies = prefixes("192.0.2.0/24") }),
		withLimits(func(l *conf.RateLimit) { l.MessageRate, l.MessageBurst, l.OverMessage = 1, 1, conf.Reject }))
	client := b.dial()
	for i, want := range []int{200, 429} {
		client.Say(of("192.0.2." + string(rune('1'+i))))
		client.wantStatus("GET", want)
	}
	client.CloseWrite()
	b.AwaitIdle()
	for _, line := range b.Lines() {
		if !strings.HasPrefix(line.Client, "127.") || line.Proxy != "" {
			t.Errorf("the log says %+v", line)
		}
	}
}

// The PROXY header names the peer, and if that is a trusted proxy itself, its
// X-Forwarded-For names the client.
func TestForwardedForBehindProxyHeader(t *testing.T) {
	t.Parallel()
	b := start(t, []string{httpServer(t, echo)}, withStoppedTime, behindProxy,
		withFrontend(func(f *conf.Frontend) {
			f.AcceptProxy = true
			f.TrustedProxies = append(f.TrustedProxies, prefixes("10.0.0.0/8")...)
		}),
		withLimits(func(l *conf.RateLimit) { l.MessageRate, l.MessageBurst, l.OverMessage = 1, 1, conf.Reject }))
	for _, c := range []struct {
		peer, client string
		want         int
	}{
		{"10.0.0.1", "192.0.2.1", 200}, {"10.0.0.2", "192.0.2.1", 429}, {"10.0.0.2", "192.0.2.2", 200},
		{"192.0.2.3", "192.0.2.2", 200}, {"192.0.2.4", "", 200},
	} {
		client := b.dial()
		client.Say("PROXY TCP4 " + c.peer + " 127.0.0.1 1234 80\r\n" + of(c.client))
		client.wantStatus("GET", c.want)
	}
}

// Log and list of connections show the client, and the proxy beside it, so that an
// operator finds who it is; between two requests the connection is the proxy's. All
// of it survives an upgrade in the middle of an answer, and so does the client's
// part of the limits.
func TestForwardedClientIsShown(t *testing.T) {
	t.Parallel()
	b, s := startServed(t, oneLoop, behindProxy, withLimits(func(l *conf.RateLimit) { l.MessageRate, l.MessageBurst = 1000, 1000 }))
	conn := b.dial()
	check := func(when, want string, connected int) {
		t.Helper()
		b.each(func(c *client) {
			info := c.Info()
			if info.Client.Addr().String() != want || info.Proxy.IsValid() != (want != "127.0.0.1") {
				t.Errorf("%s: client %v of proxy %v, want %s", when, info.Client, info.Proxy, want)
			}
		})
		if n := b.Limiter.Stats(b.Engine.Now()).Connected; n != connected {
			t.Errorf("%s: %d sources are connected, want %d", when, n, connected)
		}
	}
	server := s.receiveHead(conn, of("192.0.2.1, 127.0.0.5"))
	server.Say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfi")
	conn.head()
	conn.Hear("fi")
	check("within the answer", "192.0.2.1", 1)
	b.handOver()
	check("handed over", "192.0.2.1", 1)
	server.Say("rst")
	conn.Hear("rst")
	b.awaitState("reading", 1)
	check("between two requests", "127.0.0.1", 0)
	conn.Say(of("2001:db8::7"))
	server.request()
	check("the next request", "2001:db8::7", 1)
	server.answer("fine")
	conn.wantStatus("GET", 200)
	conn.Say(of(""))
	server.request()
	check("the proxy's own request", "127.0.0.1", 1)
	server.answer("fine")
	conn.wantStatus("GET", 200)
	conn.CloseWrite()
	b.AwaitIdle()
	var logged []string
	for _, line := range b.Lines() {
		who, port, _ := strings.Cut(line.Client, "127.0.0.1:")
		if port != "" {
			who = "proxy"
		}
		logged = append(logged, who+" "+strings.Split(line.Proxy, ":")[0])
	}
	if got, want := strings.Join(logged, ", "), "192.0.2.1 127.0.0.1, 2001:db8::7 127.0.0.1, proxy "; got != want {
		t.Errorf("the log has %q, want %q", got, want)
	}
}

// A WebSocket's frames count for the client that asked for it, as long as it lasts.
func TestTunnelOfProxy(t *testing.T) {
	t.Parallel()
	b, s := startServed(t, oneLoop, withStoppedTime, behindProxy, withLimits(func(l *conf.RateLimit) {
		l.MessageRate, l.MessageBurst, l.OverMessage = 1, 3, conf.Reject
	}))
	conn := b.dial()
	server := s.receiveHead(conn, strings.Replace(upgrade, "Host: x\r\n", "Host: x\r\nX-Forwarded-For: 192.0.2.1\r\n", 1))
	server.Say(upgraded)
	conn.head()
	for _, when := range []string{"opened", "handed over"} {
		b.each(func(c *client) {
			if info := c.Info(); info.Client.Addr().String() != "192.0.2.1" || c.Source == nil {
				t.Errorf("%s: client %v, limited %v", when, info.Client, c.Source != nil)
			}
		})
		conn.Say(frame("x", true))
		server.Hear(frame("x", true))
		if when == "opened" {
			b.handOver()
		}
	}
	// The request and two frames: the burst is used up, for this client alone.
	other := b.dial()
	other.Say(of("192.0.2.1"))
	other.wantStatus("GET", 429)
	other.Say(of("192.0.2.2"))
	next := s.tryNext(server, "GET")
	next.request()
	next.answer("fine")
	other.wantStatus("GET", 200)
}
