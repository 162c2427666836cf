package run

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"mcplb/cmd/mcpload/clients"
	"mcplb/cmd/mcpload/report"
)

// Options are what a run does. Do does not change them.
type Options struct {
	clients.Options // Targets and TLS follow from Addresses and the certificate options

	Title     string
	Addresses [clients.NumKinds]string // host:port by kind; WS, SSE and H2C have that of HTTP, H2 that of HTTPS

	CA         string // file of trusted certificates; "" = the system's
	ServerName string // expected in the server's certificate; "" = the address's host
	Insecure   bool   // trust every certificate

	Clients int
	Rate    int // clients started per second
	Opening int // at most so many open a session at a time; 0 = no limit
	Load    time.Duration
	Monitor time.Duration
	Fault   Fault
	Holding func() // called at the end, while all sessions are still held; nil = nothing is called

	Watch  []Watched     // processes whose usage is recorded
	Every  time.Duration // between two samples
	Quiet  bool          // no progress is written
	Expect report.Expectations
}

// Fault is what is broken and repaired during the load. The zero value breaks
// nothing.
type Fault struct {
	Command string        // of the shell; "" = there is no fault
	At      time.Duration // after the start of the load
	Node    string        // the node that Command breaks; "" = none in particular

	Repair   string        // of the shell; "" = there is no repair
	RepairAt time.Duration // after the start of the load, but not before all lost clients are back

	Admin string // host:port of the balancer's admin pages, which show when it has noticed; "" = unknown
}

// Watched is a process under a name.
type Watched struct {
	Name string
	PID  int
}

// Defaults returns the options of "mcpload run" without flags.
func Defaults() Options {
	o := Options{
		Options: clients.Options{
			Mix: clients.Only(clients.TCP), Threads: 1,
			MCPPath: "/mcp", WSPath: "/mcp/ws", SSEPath: "/mcp/sse",
			From: netip.MustParsePrefix("127.200.0.0/16"), Sources: 1000,
			Size: 64, Interval: time.Second,
			OpenTimeout: 30 * time.Second, Timeout: 10 * time.Second, Reconnect: 100 * time.Millisecond,
		},
		Clients: 1000, Rate: 1000, Opening: 500,
		Load: 10 * time.Second, Monitor: 2 * time.Second, Every: time.Second,
		Fault: Fault{At: 5 * time.Second, RepairAt: 10 * time.Second},
	}
	o.Addresses[clients.TCP], o.Addresses[clients.HTTP] = "127.0.0.1:8000", "127.0.0.1:8080"
	o.Addresses[clients.TLS], o.Addresses[clients.HTTPS] = "127.0.0.1:8001", "127.0.0.1:8443"
	return o
}

// Validate returns what is wrong with the options, in the words of the command
// line.
func (o *Options) Validate() error {
	switch {
	case o.Clients < 1:
		return errors.New("-n must be at least 1")
	case o.Rate < 1:
		return errors.New("-rate must be at least 1")
	case o.Threads < 1:
		return errors.New("-threads must be at least 1")
	case o.Sources < 0 || o.Opening < 0 || o.Size < 0 || o.Reconnect < 0 || o.Interval < 0 || o.Load < 0 || o.Monitor < 0:
		return errors.New("a number or duration is negative")
	case o.Timeout <= 0 || o.OpenTimeout <= 0 || o.Every <= 0:
		return errors.New("-timeout, -open-timeout and -every must be above zero")
	case o.Size > clients.MaxMessage/2:
		return fmt.Errorf("-size must be at most %d", clients.MaxMessage/2)
	case o.Fault.Command != "" && o.Fault.At >= o.Load, o.Fault.Repair != "" && o.Fault.RepairAt >= o.Load:
		return errors.New("-fault-at and -repair-at must be within -load")
	}
	if err := o.validateSources(); err != nil {
		return err
	}
	for k, share := range o.Mix {
		if share == 0 {
			continue
		}
		if _, _, err := net.SplitHostPort(o.address(clients.Kind(k))); err != nil {
			return fmt.Errorf("the address for kind %v: %w; write host:port", clients.Kind(k), err)
		}
	}
	return nil
}

func (o *Options) validateSources() error {
	if o.Sources == 0 {
		return nil
	}
	if !o.From.IsValid() {
		return errors.New("-from must be a network, such as 127.200.0.0/16")
	}
	if bits := o.From.Addr().BitLen() - o.From.Bits(); bits < 31 && o.Sources > 1<<bits-2 {
		return fmt.Errorf("-from %v has fewer than the %d addresses of -sources", o.From.Masked(), o.Sources)
	}
	return nil
}

// address returns the host:port of a kind.
func (o *Options) address(k clients.Kind) string {
	switch k {
	case clients.WS, clients.SSE, clients.H2C:
		k = clients.HTTP
	case clients.H2:
		k = clients.HTTPS
	}
	return o.Addresses[k]
}

// forClients returns what the clients do, with the addresses resolved.
func (o *Options) forClients() (*clients.Options, error) {
	fleet := o.Options
	fleet.From = o.From.Masked()
	if fleet.Host == "" {
		fleet.Host = o.Addresses[clients.HTTP]
	}
	for k, share := range o.Mix {
		if share == 0 {
			continue
		}
		target, err := o.resolve(clients.Kind(k))
		if err != nil {
			return nil, err
		}
		fleet.Targets[k] = target
	}
	if o.Mix.Secure() {
		config, err := o.tlsConfig()
		if err != nil {
			return nil, err
		}
		fleet.TLS = config
	}
	return &fleet, nil
}

// resolve looks up the address of a kind.
func (o *Options) resolve(k clients.Kind) (netip.AddrPort, error) {
	address, err := net.ResolveTCPAddr("tcp", o.address(k))
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("find the address for kind %v: %w", k, err)
	}
	target := address.AddrPort()
	if !target.Addr().IsValid() {
		target = netip.AddrPortFrom(netip.IPv4Unspecified(), target.Port())
	}
	target = netip.AddrPortFrom(target.Addr().Unmap(), target.Port())
	if o.Sources > 0 && target.Addr().Is4() != o.From.Addr().Is4() {
		return target, fmt.Errorf("-from %v cannot reach %v: name a network of the same family", o.From, target)
	}
	return target, nil
}

// tlsConfig returns what the clients expect of the server's certificate.
func (o *Options) tlsConfig() (*tls.Config, error) {
	config := &tls.Config{ServerName: o.ServerName, InsecureSkipVerify: o.Insecure}
	if config.ServerName == "" && !o.Insecure {
		config.ServerName = hostOf(o.Addresses[clients.TLS])
		if o.Mix[clients.HTTPS]+o.Mix[clients.H2] > 0 {
			config.ServerName = hostOf(o.Addresses[clients.HTTPS])
		}
	}
	if o.CA == "" {
		return config, nil
	}
	text, err := os.ReadFile(o.CA)
	if err != nil {
		return nil, fmt.Errorf("read the certificates of -ca: %w", err)
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("-ca %s: there is no certificate in it", o.CA)
	}
	return config, nil
}

// hostOf returns an address without its port.
func hostOf(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return host
}
