package admin

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
)

// Access decides which requests may use the page and the API, and which of them the
// runtime commands. The zero value has no token and no names. Any goroutine may
// call its methods.
//
// Page and API are for requests whose Host is an address, localhost or a name of
// UseHosts: any other name could be one that a page of another site has resolved to
// this machine (DNS rebinding). A valid token is proof enough under any name.
//
// Commands are for requests with the token. While there is none, they are for those
// that come directly from a program on this machine, which checkDirect recognizes:
// a browser cannot be used to bypass it, nor can another proxy on this machine,
// whose clients may be anywhere. Only a client that forges CommandHeader through a
// proxy that speaks HTTP/1.1 and says nothing of itself gets past; who has such a
// proxy in front of the admin address needs a token.
type Access struct {
	digest atomic.Pointer[[sha256.Size]byte]   // of the token; nil = none
	hosts  atomic.Pointer[map[string]struct{}] // names, in lower case; nil = none
	closed atomic.Bool                         // looking needs the token, too
	cross  http.CrossOriginProtection
}

// CommandHeader is the header that a command has to bear while there is no token,
// with the value "1". Neither a page nor a proxy sends it by itself: a page of another
// site cannot, since a browser would ask this server first (CORS), which refuses.
const CommandHeader = "X-Mcplb-Command"

// UseHosts replaces the names by which page and API may be requested. They are in lower
// case, without port.
func (a *Access) UseHosts(names []string) {
	hosts := make(map[string]struct{}, len(names))
	for _, name := range names {
		hosts[name] = struct{}{}
	}
	a.hosts.Store(&hosts)
}

// Protect says whether looking needs the token, too. It is for balancers that have one.
func (a *Access) Protect(protect bool) { a.closed.Store(protect) }

// checkLook returns why a request may not see the page at path, which changes nothing;
// nil = it may.
func (a *Access) checkLook(r *http.Request, path string) *denial {
	if !a.closed.Load() || path == "/health" || strings.HasPrefix(path, "/assets/") {
		return nil
	}
	digest := a.digest.Load()
	if digest == nil {
		return &denial{http.StatusForbidden, "admin.protect needs admin.token_file, and there is no token"}
	}
	_, no := checkToken(r, digest)
	return no
}

// minToken is the length below which a token causes a warning.
const minToken = 16

// UseFile makes the only word in a file the token; "" removes the token. After an
// error the old token remains. The warning, if any, says why the file or the
// token is not safe.
func (a *Access) UseFile(path string) (warning string, err error) {
	if path == "" {
		a.digest.Store(nil)
		return "", nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read the token: %w", err)
	}
	words := bytes.Fields(bytes.TrimPrefix(text, []byte("\ufeff"))) // editors may write a byte order mark
	if len(words) != 1 {
		return "", fmt.Errorf("%s must contain the token and nothing else: one word without spaces", path)
	}
	digest := sha256.Sum256(words[0])
	a.digest.Store(&digest)
	if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o007 != 0 {
		return fmt.Sprintf("%s can be read by every user of this machine: chmod o= %s", path, path), nil
	}
	if len(words[0]) < minToken {
		return fmt.Sprintf("the token in %s is shorter than %d characters: make one with openssl rand -hex 32", path, minToken), nil
	}
	return "", nil
}

// denial is why a request is refused.
type denial struct {
	status int
	reason string
}

// check returns the name of the requester for the log, or why the request is
// refused.
func (a *Access) check(r *http.Request) (who string, no *denial) {
	if err := a.cross.Check(r); err != nil {
		return "", &denial{http.StatusForbidden, "refused: another site's page made this request (" + err.Error() + ")"}
	}
	if site := r.Header.Get("Sec-Fetch-Site"); site == "cross-site" || site == "same-site" {
		return "", &denial{http.StatusForbidden, "refused: another site's page made this request"}
	}
	if digest := a.digest.Load(); digest != nil {
		return checkToken(r, digest)
	}
	return a.checkLoopback(r)
}

// checkToken accepts requests with the token (RFC 6750 section 2.1), or with the token as
// the password of any user (RFC 7617), which browsers ask for. It compares digests, in
// constant time.
func checkToken(r *http.Request, digest *[sha256.Size]byte) (string, *denial) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if _, password, ok := r.BasicAuth(); ok {
		scheme, token = "Bearer", password
	}
	shown := sha256.Sum256([]byte(strings.TrimSpace(token)))
	switch {
	case r.Header.Get("Authorization") == "":
		return "", &denial{http.StatusUnauthorized, "this needs the bearer token of admin.token_file, and the request has none: send the header Authorization: Bearer TOKEN"}
	case !strings.EqualFold(scheme, "Bearer"):
		return "", &denial{http.StatusUnauthorized, "this needs the bearer token of admin.token_file: send the header Authorization: Bearer TOKEN"}
	case subtle.ConstantTimeCompare(shown[:], digest[:]) != 1:
		return "", &denial{http.StatusUnauthorized, "wrong token: send the one in the file that admin.token_file names (the balancer reads that file at its start and at each reload)"}
	}
	return r.RemoteAddr + " with the token", nil
}

// checkLoopback accepts requests that come directly from this machine.
func (a *Access) checkLoopback(r *http.Request) (string, *denial) {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !peer.Addr().Unmap().IsLoopback() {
		return "", &denial{http.StatusForbidden, "without admin.token_file runtime commands are accepted from this machine's loopback addresses only: " +
			"run mcplb there, or set admin.token_file and use the token"}
	}
	if err := a.checkDirect(r); err != nil {
		return "", &denial{http.StatusForbidden, err.Error()}
	}
	return r.RemoteAddr, nil
}

// useToken is what to do about a request that could be a proxy's.
const useToken = "set admin.token_file and use the token"

// checkDirect refuses requests from a loopback address that another proxy may have
// forwarded:
//
//   - with a header that only proxies send;
//   - with a Host that no program on this machine would use to come by loopback;
//   - with an Origin of another host, so that the page in the browser came through a proxy
//     (CrossOriginProtection does not look where Sec-Fetch-Site says same-origin);
//   - by HTTP/1.0, as nginx sends requests unless its configuration says otherwise;
//   - that change something, but lack CommandHeader.
func (a *Access) checkDirect(r *http.Request) error {
	if name := forwarding(r.Header); name != "" {
		return fmt.Errorf("the request came through a proxy (%s): %s", name, useToken)
	}
	if host := hostOf(r.Host); !isLoopback(host) && !a.knows(host) {
		return fmt.Errorf("commands without a token are for %s, not for the host %q: %s, or add the name to admin.hosts", "http://127.0.0.1 and localhost", host, useToken)
	}
	if origin := r.Header.Get("Origin"); origin != "" && !strings.EqualFold(hostOfOrigin(origin), r.Host) {
		return fmt.Errorf("the page that sent this came through a proxy (Origin %s): %s", origin, useToken)
	}
	if !r.ProtoAtLeast(1, 1) {
		return errOldHTTP
	}
	if isSafe(r.Method) {
		return nil
	}
	if r.Header.Get(CommandHeader) != "1" {
		return fmt.Errorf("without admin.token_file a command needs the header %s: 1 (curl -H '%s: 1' ...)", CommandHeader, CommandHeader)
	}
	return nil
}

// errOldHTTP refuses a command, or a list of clients, that is asked for by HTTP/1.0 without a
// token.
var errOldHTTP = errors.New("commands and lists of clients without a token need HTTP/1.1, since proxies use HTTP/1.0: " + useToken)

// mayCommand returns why a client may not send commands on the evidence of r, a request
// that changes nothing; nil = it may, with CommandHeader.
func (a *Access) mayCommand(r *http.Request) *denial {
	_, no := a.check(r)
	return no
}

// forwarding returns a header of r that only a proxy sends, or "".
func forwarding(header http.Header) string {
	for name := range header {
		if strings.HasPrefix(name, "X-Forwarded-") || strings.HasPrefix(name, "X-Original-") || strings.HasPrefix(name, "X-Envoy-") {
			return name
		}
	}
	for _, name := range []string{"Forwarded", "Via", "X-Real-Ip", "X-Client-Ip", "X-Cluster-Client-Ip", "True-Client-Ip", "Cf-Connecting-Ip", "Fastly-Client-Ip", "Cdn-Loop", "X-Varnish"} {
		if header[name] != nil {
			return name
		}
	}
	return ""
}

// isSafe reports whether a method changes nothing (RFC 9110 section 9.2.1).
func isSafe(method string) bool { return method == http.MethodGet || method == http.MethodHead }

// checkHost refuses page and API to requests by a name that is not the balancer's.
func (a *Access) checkHost(r *http.Request) *denial {
	host := hostOf(r.Host)
	if _, err := netip.ParseAddr(host); err == nil || host == "" || host == "localhost" || a.knows(host) {
		return nil
	}
	if digest := a.digest.Load(); digest != nil {
		if _, no := checkToken(r, digest); no == nil {
			return nil
		}
	}
	return &denial{http.StatusForbidden, fmt.Sprintf(`page and API are not shown under the name %q: use the address, or set admin.hosts = [%q]`, host, host)}
}

// knows reports whether host is one of the names of UseHosts.
func (a *Access) knows(host string) bool {
	hosts := a.hosts.Load()
	if hosts == nil {
		return false
	}
	_, known := (*hosts)[host]
	return known
}

// hostOf returns the host of a Host header in lower case, without port, brackets and a
// trailing dot.
func hostOf(header string) string {
	host := header
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
}

// hostOfOrigin returns host and port of an Origin header.
func hostOfOrigin(origin string) string {
	_, host, _ := strings.Cut(origin, "://")
	return host
}

// isLoopback reports whether host is localhost or a loopback address.
func isLoopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && address.Unmap().IsLoopback()
}
