package lb

import (
	"fmt"
	"net"
	"strconv"
	"strings"
)

// CommonPort returns the port that all of the addresses have, or "" if they have several, or
// one has none.
func CommonPort(addresses []string) (port string) {
	for _, a := range addresses {
		_, p, err := net.SplitHostPort(a)
		if err != nil || port != "" && port != p {
			return ""
		}
		port = p
	}
	return port
}

// mostPorts bounds a range of ports.
const mostPorts = 100

// Ports returns a host with each port of a range such as "8448-8450", or with one port.
func Ports(host, ports string) (addresses []string, err error) {
	first, last, isRange := strings.Cut(ports, "-")
	from, err := strconv.Atoi(first)
	to := from
	if err == nil && isRange {
		to, err = strconv.Atoi(last)
	}
	if err != nil || from < 1 || to > 65535 || to < from {
		return nil, fmt.Errorf("%q is no port, or range of ports", ports)
	}
	if to-from >= mostPorts {
		return nil, fmt.Errorf("%q are more than %d ports", ports, mostPorts)
	}
	for port := from; port <= to; port++ {
		addresses = append(addresses, net.JoinHostPort(host, strconv.Itoa(port)))
	}
	return addresses, nil
}
