package session

import (
	"net/netip"
	"time"

	"mcplb/conf"
	"mcplb/proxy/accesslog"
	"mcplb/proxy/clientcert"
	"mcplb/proxy/reactor"
	"mcplb/ratelimit"

	"golang.org/x/sys/unix"
)

// Client is a client's connection from accept until it has entered, and may ask for
// a server. It is embedded in its session, whose handler calls Enter at every Ready
// until that is done.
//
//	stage      event                            next
//	header     a complete PROXY header          admission
//	header     garbage, timeout                 refused
//	admission  allow, deny, limiter refuse      refused
//	admission  the frontend speaks TLS          handshake
//	admission  it does not                      entered
//	handshake  the handshake is complete        entered
//	handshake  it fails, timeout                refused
//	handshake  the client's certificate is      dismissal
//	           refused
//	dismissal  the client ends, timeout         refused
type Client struct {
	ClientState
	Conn   *reactor.Conn
	Source *ratelimit.Source // nil: not limited, or a proxy's connection between two requests
	Timer  reactor.Timer     // the session's one timer
	Stage  Stage

	unread    bool   // what it sends is not read any more: see Discard
	discarded uint32 // bytes that Discard has not charged yet
}

// ClientState is what a new process needs of a client, whatever its layer.
type ClientState struct {
	From  netip.AddrPort // the client, as the PROXY header says where there is one
	Since int64          // when the present state began or something last moved, on the loops' clock

	Identity *clientcert.Identity // nil = it was not asked for a certificate
}

// Stage is where a client is before it has entered.
type Stage uint8

// The stages, in their order.
const (
	StageHeader    Stage = iota // a PROXY header is read, where one is expected
	StageAdmission              // the limits are asked
	StageHandshake              // TLS
	StageDismissal              // the client's certificate was refused: it reads why
	StageEntered
	stages // their number
)

// String is the word that status shows.
func (s Stage) String() string {
	return [...]string{"header", "admission", "handshake", "dismissal", "entered"}[s]
}

// Phase is what the access log calls a stage.
func (s Stage) Phase() accesslog.Phase {
	return [...]accesslog.Phase{accesslog.PhaseProxy, accesslog.PhaseAdmission, accesslog.PhaseHandshake, accesslog.PhaseHandshake, accesslog.PhaseNone}[s]
}

const (
	// HeaderTimeout is how long a complete PROXY header may take.
	HeaderTimeout = 5 * time.Second

	// discardedPerMessage is how many bytes that are thrown away cost what a message does.
	discardedPerMessage = 256 << 10

	// dismissalTimeout is how long a client whose certificate was refused may take to
	// end, and mostDismissed how many bytes it may send until then.
	dismissalTimeout = 3 * time.Second
	mostDismissed    = 256 << 10

	// HandshakeTimeout is how long a TLS handshake may take in modes tcp and mcp; in
	// mode http that is timeout_http_request.
	HandshakeTimeout = 10 * time.Second
)

// Begin starts with a client that was accepted. Its results are those of Enter.
func (c *Client) Begin(settings *Settings, limiter *ratelimit.Limiter) (done bool, refusal Reason) {
	c.Since = c.Conn.Loop().Now()
	switch {
	case !settings.Frontend.AcceptProxy:
		return c.admit(settings, limiter)
	case !settings.Trusts(c.From.Addr()):
		return true, UntrustedProxy
	}
	c.Stage = StageHeader
	return false, 0
}

// Enter continues with what the client has sent. While done is false more has to
// come, within Limit. A refusal other than 0 is the reason why the client is not
// served.
func (c *Client) Enter(settings *Settings, limiter *ratelimit.Limiter) (done bool, refusal Reason) {
	switch c.Stage {
	case StageHeader:
		return c.readHeader(settings, limiter)
	case StageHandshake:
		return c.shake()
	case StageDismissal:
		return c.dismiss()
	}
	return true, 0
}

// readHeader waits for the PROXY header, and continues with the client that it
// names.
func (c *Client) readHeader(settings *Settings, limiter *ratelimit.Limiter) (done bool, refusal Reason) {
	from, done, refusal := ReadProxyHeader(c.Conn)
	if !done || refusal != 0 {
		return done, refusal
	}
	if from.IsValid() {
		c.From = from
	}
	return c.admit(settings, limiter)
}

// admit asks the frontend's lists and the limits: before TLS, whose handshakes are
// expensive. In mode http each request is asked for, which can be answered.
func (c *Client) admit(settings *Settings, limiter *ratelimit.Limiter) (done bool, refusal Reason) {
	loop := c.Conn.Loop()
	c.Stage = StageAdmission
	if settings.Frontend.Mode != conf.ModeHTTP && !settings.Access.Admits(c.From.Addr()) {
		return true, AccessDenied
	}
	source, verdict := c.ask(settings, limiter)
	if verdict != ratelimit.Admitted {
		return true, RefusalOf(verdict)
	}
	c.Source = source
	loop.Disarm(&c.Timer)
	if settings.TLS == nil {
		c.Stage = StageEntered
		return true, 0
	}
	c.Stage, c.Since = StageHandshake, loop.Now()
	if verified := settings.TLS.Verification(); verified != 0 {
		c.Identity = clientcert.IdentityOf(nil, verified) // what a reload brings meanwhile may hold, too
	}
	settings.TLS.Secure(c.Conn)
	return c.shake()
}

// ask asks the limiter. A trusted proxy is not limited as a client is, because it
// carries many; if it names the client of each request, those have the sources.
func (c *Client) ask(settings *Settings, limiter *ratelimit.Limiter) (*ratelimit.Source, ratelimit.Verdict) {
	address, now := c.From.Addr(), c.Conn.Loop().Now()
	if !settings.Trusts(address) {
		return limiter.Admit(address, now)
	}
	source, verdict := limiter.AdmitProxy(address, now)
	if settings.NamesClients(address) {
		source.Release()
		source = nil
	}
	return source, verdict
}

// shake continues the TLS handshake.
func (c *Client) shake() (done bool, refusal Reason) {
	switch done, refusal = shake(c.Conn); {
	case done && refusal == 0:
		c.Conn.Loop().Disarm(&c.Timer)
		if shown := c.Conn.Transport().(Handshake).TakeCertificate(); shown != nil {
			c.Identity = clientcert.IdentityOf(shown, c.Identity.Verification())
		}
		c.Stage = StageEntered
	case refusal.ofCertificate():
		c.Stage, c.Since = StageDismissal, c.Conn.Loop().Now()
		c.Conn.CloseWrite()
		return c.dismiss()
	}
	return done, refusal
}

// dismiss throws away what a client sends whose certificate was refused, until it ends: in
// TLS 1.3 its first request comes together with its certificate, and a close with unread
// bytes would destroy the alert on its way.
func (c *Client) dismiss() (done bool, refusal Reason) {
	_, refusal = shake(c.Conn)
	for c.discarded < mostDismissed && c.Conn.Readable() {
		n, errno := c.Conn.RawRead(c.Conn.Loop().Scratch())
		switch {
		case errno == unix.EAGAIN:
			return false, 0
		case errno != 0 || n == 0:
			return true, refusal
		}
		c.discarded += uint32(n)
	}
	return c.discarded >= mostDismissed, refusal
}

// Limit is how long the present stage may last, from Since on.
func (c *Client) Limit(f *conf.Frontend) time.Duration {
	switch {
	case c.Stage == StageHeader:
		return HeaderTimeout
	case c.Stage == StageDismissal:
		return dismissalTimeout
	case f.Mode == conf.ModeHTTP:
		return f.TimeoutHTTPRequest
	}
	return HandshakeTimeout
}

// TooLate is the reason why a client is refused whose stage exceeds Limit.
func (c *Client) TooLate() Reason {
	switch c.Stage {
	case StageHeader:
		return ProxyHeaderTimeout
	case StageDismissal:
		_, refusal := shake(c.Conn)
		return refusal
	}
	return TLSTimeout
}

// Left is the reason why a client is refused that breaks off before it has a server.
func (c *Client) Left() Reason {
	if c.Stage == StageDismissal {
		return c.TooLate()
	}
	return ClientGone
}

// Discard throws away what a client still sends after its last answer, which a close
// with unread bytes would destroy on its way; call it at every Ready. ended reports that
// the client has ended. The bytes are charged to the client's message_rate: one that is
// over it is not read any more.
func (c *Client) Discard() (ended bool) {
	for range 16 {
		if c.unread || !c.Conn.Readable() {
			return false
		}
		n, errno := c.Conn.Read(c.Conn.Loop().Scratch())
		if n == 0 && errno != unix.EAGAIN {
			return true
		}
		c.charge(n)
	}
	c.Conn.Yield()
	return false
}

// charge charges n bytes that were thrown away.
func (c *Client) charge(n int) {
	for c.discarded += uint32(n); c.discarded >= discardedPerMessage; c.discarded -= discardedPerMessage {
		var turn ratelimit.Turn
		passed, _ := c.Source.Take(&turn, 1, c.Conn.Loop().Now())
		c.Source.Leave(&turn)
		c.unread = c.unread || passed == 0
	}
}

// Refuse resets the connection of a client that is not served, unless it still has to
// read a TLS alert, which RST could overtake.
func (c *Client) Refuse(reason Reason) {
	if reason != TLSHandshake && !reason.ofCertificate() {
		c.Conn.Reset()
	}
}
