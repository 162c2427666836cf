package lab

import (
	"net/netip"
	"os"
)

// Network is a block of 256 loopback addresses.
type Network [2]byte

// OwnNetwork returns a block that other processes do not use, chosen by the
// process id.
func OwnNetwork() Network {
	pid := os.Getpid()
	return Network{byte(64 + pid%64), byte(pid >> 6)}
}

// The hosts of a network: the balancer, and node n at BalancerHost+n.
const BalancerHost = 10

// The ports of balancer and nodes.
const (
	PortLines  = 8000
	PortHTTP   = 8080
	PortSSE    = 8081
	PortAdmin  = 8404
	PortHealth = 8888
)

// Address returns the host:port of a host in the network.
func (n Network) Address(host, port int) string {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, n[0], n[1], byte(host)}), uint16(port)).String()
}
