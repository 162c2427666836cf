package conf

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
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
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.Unmap().String(), uint16(number), nil
	}
	if host == "*" {
		return "", 0, fmt.Errorf("%s has a star for its host: for every address write %q", quoted(s), ":"+digits)
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
// underscore), and cannot be mistaken for an IPv4 address.
func isHostName(host string) bool {
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
// the same port, and the same host or one that covers the other. An empty host
// and :: are every address of both families, as Linux binds them by default
// (ipv6(7), bindv6only); 0.0.0.0 is every IPv4 address.
func overlap(a, b string) bool {
	hostA, portA, _ := splitAddress(a)
	hostB, portB, _ := splitAddress(b)
	return portA == portB && portA != 0 && (hostA == hostB || covers(hostA, hostB) || covers(hostB, hostA))
}

// covers reports whether the host wide includes the host narrow.
func covers(wide, narrow string) bool {
	switch wide {
	case "", "::":
		return true
	case "0.0.0.0":
		addr, err := netip.ParseAddr(narrow)
		return err != nil || addr.Is4()
	}
	return false
}
