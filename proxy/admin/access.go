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

// Access decides which requests may use the runtime commands: those with the
// token or, while there is no token, those from this machine's loopback
// addresses. The zero value has no token. Any goroutine may call its methods.
//
// A browser on this machine cannot be used to bypass it. Requests that another
// site makes through a browser are refused (Sec-Fetch-Site, Origin). Without a
// token, so are requests with a name in Host that anyone could resolve to
// 127.0.0.1 (DNS rebinding), and requests that another proxy on this machine
// forwards, since its clients may be anywhere.
type Access struct {
	digest atomic.Pointer[[sha256.Size]byte] // of the token; nil = none
	cross  http.CrossOriginProtection
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
	words := bytes.Fields(text)
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
	return checkLoopback(r)
}

// checkToken accepts requests with the token (RFC 6750 section 2.1). It compares
// digests, in constant time.
func checkToken(r *http.Request, digest *[sha256.Size]byte) (string, *denial) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	shown := sha256.Sum256([]byte(strings.TrimSpace(token)))
	if !strings.EqualFold(scheme, "Bearer") || subtle.ConstantTimeCompare(shown[:], digest[:]) != 1 {
		return "", &denial{http.StatusUnauthorized, "runtime commands need the bearer token of admin.token_file"}
	}
	return r.RemoteAddr + " with the token", nil
}

// checkLoopback accepts requests that come directly from this machine.
func checkLoopback(r *http.Request) (string, *denial) {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !peer.Addr().Unmap().IsLoopback() {
		return "", &denial{http.StatusForbidden, "without admin.token_file runtime commands are accepted from this machine's loopback addresses only"}
	}
	if err := checkDirect(r); err != nil {
		return "", &denial{http.StatusForbidden, err.Error()}
	}
	return r.RemoteAddr, nil
}

// checkDirect refuses requests that only seem to come from this machine.
func checkDirect(r *http.Request) error {
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "Via", "X-Real-Ip"} {
		if r.Header.Get(name) != "" {
			return fmt.Errorf("the request came through a proxy (%s): set admin.token_file and use the token", name)
		}
	}
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil || strings.EqualFold(host, "localhost") {
		return nil
	}
	return errors.New("the host in the address must be an IP address or localhost, or set admin.token_file and use the token")
}
