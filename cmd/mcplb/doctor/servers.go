package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"

	"mcplb/backend/servertls"
	"mcplb/conf"
	"mcplb/healthcheck"
)

// mostAtOnce bounds the servers that are asked at one time.
const mostAtOnce = 32

// servers connects to every address of every server, in the order of the file.
func (e *examination) servers(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 2*reachTimeout)
	defer cancel()
	var all []*reached
	for i := range e.config.Backends {
		for j := range e.config.Backends[i].Servers {
			all = append(all, &reached{backend: &e.config.Backends[i], server: &e.config.Backends[i].Servers[j]})
		}
	}
	var asking sync.WaitGroup
	slots := make(chan struct{}, mostAtOnce)
	for _, r := range all {
		asking.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			r.examine(ctx, e)
		})
	}
	asking.Wait()
	for _, r := range all {
		e.findings = append(e.findings, r.findings...)
	}
}

// reached is what was found of one server.
type reached struct {
	backend  *conf.Backend
	server   *conf.Server
	findings []Finding
}

func (r *reached) add(level Level, advice, text string, args ...any) {
	r.findings = append(r.findings, Finding{level, "server " + r.backend.Name + "/" + r.server.Name, fmt.Sprintf(text, args...), advice})
}

func (r *reached) examine(ctx context.Context, e *examination) {
	seen := map[string]netip.AddrPort{}
	var sound []string
	for _, endpoint := range []conf.Endpoint{conf.EndpointTCP, conf.EndpointHTTP, conf.EndpointWS, conf.EndpointSSE} {
		address := r.server.Address(endpoint)
		if _, already := seen[address]; address == "" || already {
			continue
		}
		resolved, ok := r.reach(ctx, e, endpoint, address)
		if seen[address] = resolved; ok {
			sound = append(sound, address)
		}
	}
	if len(sound) == 0 || len(r.findings) > 0 {
		return // then the check can only fail, too
	}
	to := healthcheck.Target{
		TCP:  healthcheck.Address{Addr: seen[r.server.TCP], Written: r.server.TCP},
		HTTP: healthcheck.Address{Addr: seen[r.server.HTTP], Written: r.server.HTTP},
	}
	if passed := r.check(ctx, e, to); passed != "" {
		how := ""
		if r.backend.TLS != nil {
			how = " over TLS"
		}
		r.add(OK, "", "%s can be reached%s, and its check passes: %s", strings.Join(sound, ", "), how, passed)
	}
}

// reach resolves and connects to one address, with TLS where the backend has it, and
// reports whether it could.
func (r *reached) reach(ctx context.Context, e *examination, endpoint conf.Endpoint, address string) (resolved netip.AddrPort, ok bool) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return resolved, false // conf has refused it
	}
	ctx, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	if _, err := netip.ParseAddr(host); err != nil {
		found, err := e.Lookup(ctx, e.config.Resolver, host, r.server.Family)
		if err != nil {
			r.add(Problem, "check the name, and the name servers: resolver.nameservers, or those of /etc/resolv.conf", "%s: the name %s is not found: %s", endpoint, host, reason(err))
			return resolved, false
		}
		host = found.String()
	}
	resolved, _ = netip.ParseAddrPort(net.JoinHostPort(host, port)) // an invalid one is found by the check
	if err := e.Dial(ctx, net.JoinHostPort(host, port)); err != nil {
		r.add(Problem, advise(err, host), "%s: %s cannot be reached: %s", endpoint, address, reason(err))
		return resolved, false
	}
	return resolved, r.backend.TLS == nil || r.shakeHands(ctx, e, endpoint, healthcheck.Address{Addr: resolved, Written: address})
}

// shakeHands reports whether a server that can be reached completes a TLS handshake, as
// clients' connections and checks demand it.
func (r *reached) shakeHands(ctx context.Context, e *examination, endpoint conf.Endpoint, to healthcheck.Address) bool {
	check := r.backend.Check
	check.Type, check.TLS, check.Port = conf.CheckTCP, r.backend.TLS, 0
	result := e.Check(ctx, check, healthcheck.Target{TCP: to})
	if !result.Passed() {
		r.add(Problem, adviseTLS(result, to, r.backend.TLS), "%s: %s can be reached, but the TLS handshake fails: %s", endpoint, to.Written, result.Text())
	}
	return result.Passed()
}

// adviseTLS says what to do about a handshake that fails.
func adviseTLS(result healthcheck.Result, to healthcheck.Address, settings *conf.ServerTLS) string {
	see := "see what the server presents: openssl s_client -connect " + to.Addr.String()
	if name := servertls.Name(settings, to.Written); net.ParseIP(name) == nil {
		see += " -servername " + name
	}
	see += " </dev/null"
	switch text := result.Text(); {
	case strings.HasPrefix(text, "certificate expired"):
		return "renew the server's certificate"
	case strings.HasPrefix(text, "certificate is valid for"):
		return "set " + settings.Path + ".server_name to one of these names, or write the server's address with it"
	case result.Code == healthcheck.L6TOUT:
		return "does the server speak TLS there? If not, leave [" + settings.Path + "] out; " + see
	}
	return see
}

// check does the server's health check once, and returns its result, or "" if it failed.
func (r *reached) check(ctx context.Context, e *examination, to healthcheck.Target) string {
	check := r.backend.Check
	ctx, cancel := context.WithTimeout(ctx, min(check.Timeout, reachTimeout))
	defer cancel()
	result := e.Check(ctx, check, to)
	if result.Passed() {
		return result.String()
	}
	r.add(Problem, adviseCheck(check, result, "backend."+r.backend.Name+".check"), "can be reached, but its check (%s) fails: %s", check.Type, result)
	return ""
}

// adviseCheck says what to look at when a server's check fails; section is the check's.
func adviseCheck(check conf.Check, result healthcheck.Result, section string) string {
	code, method := result.Code, cmp.Or(check.Method, "GET")
	switch {
	case code == healthcheck.L7STS && check.Type == conf.CheckMCP:
		return fmt.Sprintf("does the server speak MCP over HTTP at %s? If not, correct %s.path or type", check.Path, section)
	case code == healthcheck.L7STS && check.Host == "" && strings.Contains(result.Detail, "Host was"):
		return fmt.Sprintf("the server may refuse its address as Host: set %s.host to a name that it accepts", section)
	case code == healthcheck.L7STS:
		return fmt.Sprintf("see what the server answers to %s %s, or correct %s.path and expect", method, check.Path, section)
	case code == healthcheck.L7TOUT:
		return "the server accepts connections and says nothing: look at its process, or raise " + section + ".timeout"
	case code == healthcheck.L7RSP && check.Type == conf.CheckMCP && strings.Contains(result.Detail, "JSON-RPC answer"):
		return fmt.Sprintf("does the server speak MCP over HTTP at %s? If not, correct %s.path or type", check.Path, section)
	case code == healthcheck.L7RSP && check.Type == conf.CheckMCP:
		return "does the server speak MCP on its tcp address, a message a line? If not, correct " + section + ".type or the address"
	case code == healthcheck.L7RSP && check.ExpectBody != "" && strings.Contains(result.Detail, "body lacks"):
		return fmt.Sprintf("see what the server answers to %s %s, or correct %s.expect_body", method, check.Path, section)
	case code == healthcheck.L7RSP:
		return "does the server speak HTTP there? If not, correct " + section + ".type or the address"
	}
	return "look at the server, or correct " + section
}

// reason is an error without what the finding says already.
func reason(err error) string {
	var dns *net.DNSError
	var system syscall.Errno
	switch {
	case err == nil:
		return "no address"
	case errors.As(err, &dns) && dns.IsNotFound:
		return "no such host"
	case errors.As(err, &dns):
		return dns.Err
	case errors.As(err, &system):
		return system.Error()
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprintf("no answer within %v", reachTimeout)
	}
	return err.Error()
}

// advise says what to look at when a server cannot be reached.
func advise(err error, host string) string {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "start the server, or correct the port"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "check the route: ip route get " + host
	case errors.Is(err, context.DeadlineExceeded):
		return "a firewall may drop the packets, or the host is down: ping " + host
	}
	return "try nc -vz from this machine"
}
