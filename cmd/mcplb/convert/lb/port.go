package lb

import "net"

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
