package conf

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

var (
	// listenAddress is where to accept connections. Without a host it is every
	// address; port 0 lets the kernel choose one.
	listenAddress = word(`an address, such as ":8000" or "127.0.0.1:8000"`, parseListen)

	// serverAddress is where to connect to, or "" for nowhere.
	serverAddress = word(`an address, such as "192.0.2.1:9000"`, parseServer)

	// optionalListen is a listenAddress, or "" for none.
	optionalListen = word(`an address, such as "127.0.0.1:8404", or "" for off`, func(s string) (string, error) {
		if s == "" {
			return "", nil
		}
		return parseListen(s)
	})
)

func isASCII(s string) bool { return strings.IndexFunc(s, func(r rune) bool { return r >= 0x80 }) < 0 }

// notPunycode is the error about a name with letters that DNS does not have.
func notPunycode(s string) error {
	return fmt.Errorf("%s is not in ASCII: write the name in Punycode (xn--...)", quoted(s))
}

// adminHost is a host name without port, in lower case.
var adminHost = word(`a host name, such as "lb.example.com"`, parseAdminHost)

func parseAdminHost(s string) (string, error) {
	name := strings.ToLower(strings.TrimSuffix(s, "."))
	address, notIP := netip.ParseAddr(strings.Trim(name, "[]"))
	host, _, notAddress := net.SplitHostPort(name)
	switch {
	case notIP == nil:
		return address.String(), nil // needless, as addresses are always accepted
	case strings.Contains(s, "*"):
		return "", fmt.Errorf("%s has a star: write each name in full, since a page of any other name could send commands", quoted(s))
	case strings.Contains(s, "://"):
		return "", fmt.Errorf(`%s is a URL: write the host name alone, such as "lb.example.com"`, quoted(s))
	case notAddress == nil && isHostName(host):
		return "", fmt.Errorf("%s has a port: write %q alone, which holds for every port", quoted(s), host)
	case !isASCII(name):
		return "", notPunycode(s)
	case !isHostName(name):
		return "", fmt.Errorf(`%s is not a host name, such as "lb.example.com"`, quoted(s))
	}
	return name, nil
}

// nameServer is where a name server answers: an IP address and a port.
var nameServer = scalar(func(raw any) (netip.AddrPort, error) {
	const want = `the address and port of a name server, such as "10.0.0.2:53"`
	s, ok := raw.(string)
	if !ok {
		return netip.AddrPort{}, mustBe(want, raw)
	}
	if addr, err := netip.ParseAddr(s); err == nil {
		return netip.AddrPort{}, fmt.Errorf("%s has no port: write %q", quoted(s), joinAddress(addr.String(), 53))
	}
	host, port, err := splitAddress(s)
	if err != nil {
		return netip.AddrPort{}, err
	}
	addr, err := netip.ParseAddr(host)
	switch {
	case host == "":
		return netip.AddrPort{}, mustBe(want, raw)
	case err != nil:
		return netip.AddrPort{}, fmt.Errorf("%w: names are looked up by it, so it cannot be a name itself", mustBe(want, raw))
	case port == 0 || addr.IsUnspecified() || addr.IsMulticast():
		return netip.AddrPort{}, mustBe(want, raw)
	}
	return netip.AddrPortFrom(addr, port), checkInterface(s, host)
}, func(a netip.AddrPort) string { return strconv.Quote(a.String()) }).in(node{"type": "string"})

// listeners is one listenAddress or a list of them.
var listeners = func() valueType[[]string] {
	list := listOf(listenAddress, `[":8000", "[::1]:8001"]`)
	return valueType[[]string]{
		read: func(raw any, fail failure) []string {
			addresses, isList := elements(raw)
			if !isList {
				return []string{listenAddress.read(raw, fail)}
			}
			if len(addresses) == 0 {
				fail("", `must name at least one address, such as ":8000"`)
			}
			return list.read(raw, fail)
		},
		show:   list.show,
		schema: node{"anyOf": []node{listenAddress.schema, list.schema}},
	}
}()

func parseListen(s string) (string, error) {
	host, port, err := splitAddress(s)
	if err != nil {
		return "", err
	}
	if addr, err := netip.ParseAddr(host); err == nil && addr.IsMulticast() {
		return "", fmt.Errorf("%s is a multicast address: no TCP connection can come to it", quoted(s))
	}
	if err := checkInterface(s, host); err != nil {
		return "", err
	}
	return joinAddress(host, port), nil
}

func parseServer(s string) (string, error) {
	if s == "" {
		return "", nil
	}
	host, port, err := splitAddress(s)
	if err != nil {
		return "", err
	}
	if host == "" {
		return "", fmt.Errorf(`%s has no host: write the server's address before the colon, such as "192.0.2.1:9000"`, quoted(s))
	}
	if port == 0 {
		return "", fmt.Errorf("%s has port 0: a server's port is a number from 1 to 65535", quoted(s))
	}
	if addr, err := netip.ParseAddr(host); err == nil && (addr.IsUnspecified() || addr.IsMulticast()) {
		return "", fmt.Errorf(`%s is not the address of a server: write its own address, such as "192.0.2.1:9000"`, quoted(s))
	}
	if err := checkInterface(s, host); err != nil {
		return "", err
	}
	return joinAddress(host, port), nil
}

// splitAddress reads host:port. The host may be empty, an IP address in its
// canonical form, or a name, which is not resolved.
func splitAddress(s string) (host string, port uint16, err error) {
	host, digits, err := net.SplitHostPort(s)
	if err != nil {
		return "", 0, explainAddress(s, err)
	}
	number, err := strconv.ParseUint(digits, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("%s has no valid port after its last colon: a port is a number from 1 to 65535", quoted(s))
	}
	if addr, err := netip.ParseAddr(host); err == nil && !isMappedWithZone(addr) {
		return addr.Unmap().String(), uint16(number), nil
	}
	if before, zone, found := strings.Cut(host, "%"); found {
		return "", 0, explainZone(s, before, zone)
	}
	if host == "*" {
		return "", 0, fmt.Errorf("%s has a star for its host: for every address write %q", quoted(s), ":"+digits)
	}
	if !isASCII(host) {
		return "", 0, notPunycode(s)
	}
	if host != "" && !isHostName(host) {
		return "", 0, fmt.Errorf("%s has no valid host before its port: write an IP address (IPv6 in brackets) or a host name", quoted(s))
	}
	return strings.ToLower(host), uint16(number), nil
}

func joinAddress(host string, port uint16) string {
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}

// explainAddress returns what is wrong with s and what to write, given the error
// of net.SplitHostPort.
func explainAddress(s string, err error) error {
	var wrong *net.AddrError
	if !errors.As(err, &wrong) {
		return err
	}
	if _, notIP := netip.ParseAddr(s); notIP == nil && strings.Contains(s, ":") {
		return fmt.Errorf(`%s is an IPv6 address without a port: write it in brackets and the port after them, such as "[%s]:8000"`, quoted(s), s)
	}
	if strings.Contains(s, "://") {
		return fmt.Errorf(`%s is a URL: write HOST:PORT alone, such as "127.0.0.1:8000"`, quoted(s))
	}
	if port, notPort := strconv.ParseUint(s, 10, 16); notPort == nil {
		return fmt.Errorf(`%s is a port alone: write HOST:PORT, such as "127.0.0.1:%d"`, quoted(s), port)
	}
	if strings.Contains(wrong.Err, "too many colons") {
		return fmt.Errorf(`%s has too many colons: write an IPv6 address in brackets, such as "[::1]:8000"`, quoted(s))
	}
	if strings.Contains(wrong.Err, "missing port") {
		return fmt.Errorf(`%s has no port: write HOST:PORT, such as "127.0.0.1:8000"`, quoted(s))
	}
	return fmt.Errorf("%s is not HOST:PORT: %s", quoted(s), wrong.Err)
}

// isHostName reports whether host is letters, digits, hyphens and underscores
// in labels between dots (RFC 1123 section 2.1; container networks add the
// underscore), and cannot be mistaken for an IPv4 address. A dot after the last
// label makes the name absolute: no search domain is added (RFC 1034 section 3.1).
func isHostName(host string) bool {
	host = strings.TrimSuffix(host, ".")
	if len(host) > 253 {
		return false
	}
	labels := strings.Split(host, ".")
	for _, label := range labels {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		if strings.ContainsFunc(label, func(r rune) bool { return r > 0x7f || !isLetterOrDigit(byte(r)) && r != '-' && r != '_' }) {
			return false
		}
	}
	_, err := strconv.ParseUint(labels[len(labels)-1], 10, 64)
	return err != nil
}

// overlap reports whether two listen addresses cannot both be bound: they have
// the same port, and the same host or one that covers the other. An empty host is
// every address of both families. So is ::, except beside 0.0.0.0, which is every
// IPv4 address: there it is bound for IPv6 alone (Config.IPv6Only).
func overlap(a, b string) bool {
	hostA, portA, _ := splitAddress(a)
	hostB, portB, _ := splitAddress(b)
	if portA != portB || portA == 0 || sharesPort(hostA, hostB) || sharesPort(hostB, hostA) {
		return false
	}
	return sameHost(hostA, hostB) || covers(hostA, hostB) || covers(hostB, hostA)
}

// The hosts that mean every address of a family; of both, where anyIPv4 is not a
// host of the same port.
const (
	anyIPv4 = "0.0.0.0"
	anyIPv6 = "::"
)

// sharesPort reports whether host v6 is bound for IPv6 alone beside host v4.
func sharesPort(v6, v4 string) bool { return v6 == anyIPv6 && v4 == anyIPv4 }

// sameHost reports whether two hosts are the same, or differ by a trailing dot
// alone.
func sameHost(a, b string) bool {
	return strings.TrimSuffix(a, ".") == strings.TrimSuffix(b, ".")
}

// covers reports whether the host wide includes the host narrow. The interface of ::%lo
// changes nothing: the kernel binds every address.
func covers(wide, narrow string) bool {
	host, _, _ := strings.Cut(wide, "%")
	switch {
	case wide == "" || host == anyIPv6:
		return true
	case wide == anyIPv4:
		addr, err := netip.ParseAddr(narrow)
		return err != nil || addr.Is4()
	}
	return false
}

// isMappedWithZone reports whether addr is an IPv4 address in the form of an IPv6
// address that names an interface: IPv4 has no such thing.
func isMappedWithZone(addr netip.Addr) bool { return addr.Is4In6() && addr.Zone() != "" }

// explainZone returns what is wrong with an address whose host is before, a percent
// sign and zone.
func explainZone(s, before, zone string) error {
	addr, err := netip.ParseAddr(before)
	switch {
	case err == nil && (addr.Is4() || addr.Is4In6()):
		return fmt.Errorf("%s names an interface, which only an IPv6 address can: leave %q out", quoted(s), "%"+zone)
	case err == nil:
		return fmt.Errorf("%s has no interface after its percent sign: write its name, such as %q, or leave the sign out", quoted(s), before+"%eth0")
	}
	return fmt.Errorf("%s has a percent sign after what is no IPv6 address: write an IP address (IPv6 in brackets) or a host name", quoted(s))
}

// checkInterface refuses host, of the address s, if it names an interface that this
// machine does not have, or needs one and names none.
func checkInterface(s, host string) error {
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return nil // a name
	}
	zone := addr.Zone()
	if zone == "" {
		if addr.Is6() && addr.IsLinkLocalUnicast() {
			return fmt.Errorf("%s is a link-local address, which says nothing without its interface: write that after a percent sign, such as %q",
				quoted(s), host+"%eth0")
		}
		return nil
	}
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil // it is tried when the address is used
	}
	names := make([]string, len(interfaces))
	for i, known := range interfaces {
		if known.Name == zone || strconv.Itoa(known.Index) == zone {
			return nil
		}
		names[i] = known.Name
	}
	return fmt.Errorf("%s names the interface %s, which this machine does not have: it has %s", quoted(s), quoted(zone), enumerate(names, "and"))
}

// IPv6Only reports whether a listen address of c is to be bound for IPv6 alone: it
// is every IPv6 address, and c listens on every IPv4 address of that port as well,
// perhaps in another section.
func (c *Config) IPv6Only(address string) bool {
	host, port, err := splitAddress(address)
	if err != nil || port == 0 || host != anyIPv6 {
		return false
	}
	v4 := joinAddress(anyIPv4, port)
	return c.Admin.Listen == v4 || c.Admin.HealthListen == v4 ||
		slices.ContainsFunc(c.Frontends, func(f Frontend) bool { return slices.Contains(f.Listen, v4) })
}
