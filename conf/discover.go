package conf

import (
	"cmp"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Discover is a section [backend.NAME.discover]: where a backend's further servers
// are found. Exactly one of DNS, File and Kubernetes is set.
type Discover struct {
	DNS        string // a name; "" = not by DNS
	Ports      Ports  // for DNS
	File       string // a path; "" = not by a file
	Kubernetes *Kubernetes
	Most       int // servers at once, at least 1
	MaxConn    int // of each server; 0 = no limit
	Weight     int // of each server; 0 = they get no new clients

	// Endpoints are the kinds of address, of TCP and HTTP, that the backend's clients
	// and checks use: those that get the port of an SRV record.
	Endpoints []Endpoint
}

// Ports is a section [backend.NAME.discover.ports]. 0 = none.
type Ports struct{ TCP, HTTP, WS, SSE int }

// Kubernetes is a section [backend.NAME.discover.kubernetes].
type Kubernetes struct {
	Namespace string // "" = that of the pod
	Service   string
	Ports     NamedPorts
	API       string // https://HOST:PORT; "" = by the environment of a pod
	TokenFile string
	CA        string // a file
}

// NamedPorts is a section [backend.NAME.discover.kubernetes.ports]: names of a
// service's ports, or numbers. "" = none.
type NamedPorts struct{ TCP, HTTP, WS, SSE string }

// SRV reports whether DNS is the name of SRV records.
func (s *Discover) SRV() bool { return strings.HasPrefix(s.DNS, "_") }

// Kind is how servers are found: dns, file or kubernetes.
func (s *Discover) Kind() string {
	switch {
	case s.Kubernetes != nil:
		return "kubernetes"
	case s.File != "":
		return "file"
	}
	return "dns"
}

// Target is what is asked for servers: a name, a path, or NAMESPACE/SERVICE.
func (s *Discover) Target() string {
	if k := s.Kubernetes; k != nil {
		return cmp.Or(k.Namespace, "(the pod's)") + "/" + k.Service
	}
	return cmp.Or(s.File, s.DNS)
}

// At returns a server with the settings that every found one has: its name, and for
// each port that is not 0 the address at host. The port for event streams and
// WebSockets is HTTP's if it is 0.
func (s *Discover) At(name, host string, ports Ports) Server {
	at := func(port int) string {
		if port == 0 {
			return ""
		}
		return net.JoinHostPort(host, strconv.Itoa(port))
	}
	found := []Server{{
		Name: name, TCP: at(ports.TCP), HTTP: at(ports.HTTP), WS: at(ports.WS), SSE: at(ports.SSE),
		MaxConn: s.MaxConn, Weight: s.Weight, Family: FamilyAny,
	}}
	completeServers(found)
	return found[0]
}

// Where a pod finds its service account (Kubernetes: "Directly accessing the REST API").
const (
	podToken = "/var/run/secrets/kubernetes.io/serviceaccount/token"
	podCA    = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"
)

var discoverSection = section[Discover]{"[backend.NAME.discover]", []field[Discover]{
	key("dns", discoverName, "", func(s *Discover) *string { return &s.DNS }),
	sub("ports", &portsSection, func(s *Discover) *Ports { return &s.Ports }),
	key("file", text, "", func(s *Discover) *string { return &s.File }),
	optional("kubernetes", &kubernetesSection, func(s *Discover) **Kubernetes { return &s.Kubernetes }),
	key("most", integer(1, 10_000), 1000, func(s *Discover) *int { return &s.Most }),
	key("maxconn", count, 25_000, func(s *Discover) *int { return &s.MaxConn }),
	key("weight", integer(0, 1000), 100, func(s *Discover) *int { return &s.Weight }),
}}

var portsSection = section[Ports]{"[backend.NAME.discover.ports]", []field[Ports]{
	key("tcp", integer(0, 65535), 0, func(p *Ports) *int { return &p.TCP }),
	key("http", integer(0, 65535), 0, func(p *Ports) *int { return &p.HTTP }),
	key("ws", integer(0, 65535), 0, func(p *Ports) *int { return &p.WS }),
	key("sse", integer(0, 65535), 0, func(p *Ports) *int { return &p.SSE }),
}}

var kubernetesSection = section[Kubernetes]{"[backend.NAME.discover.kubernetes]", []field[Kubernetes]{
	key("namespace", kubernetesName(""), "", func(k *Kubernetes) *string { return &k.Namespace }),
	required("service", kubernetesName("mcp"), `"mcp"`, func(k *Kubernetes) *string { return &k.Service }),
	sub("ports", &namedPortsSection, func(k *Kubernetes) *NamedPorts { return &k.Ports }),
	key("api", apiAddress, "", func(k *Kubernetes) *string { return &k.API }),
	key("token_file", text, podToken, func(k *Kubernetes) *string { return &k.TokenFile }),
	key("ca", text, podCA, func(k *Kubernetes) *string { return &k.CA }),
}}

var namedPortsSection = section[NamedPorts]{"[backend.NAME.discover.kubernetes.ports]", []field[NamedPorts]{
	key("tcp", portName, "", func(p *NamedPorts) *string { return &p.TCP }),
	key("http", portName, "", func(p *NamedPorts) *string { return &p.HTTP }),
	key("ws", portName, "", func(p *NamedPorts) *string { return &p.WS }),
	key("sse", portName, "", func(p *NamedPorts) *string { return &p.SSE }),
}}

// discoverName is a DNS name, which may begin with the labels of an SRV record.
var discoverName = word("a host name, or that of SRV records", func(s string) (string, error) {
	host := s
	for strings.HasPrefix(host, "_") {
		label, rest, _ := strings.Cut(host[1:], ".")
		if label == "" || rest == "" || !isHostName(label) {
			break
		}
		host = rest
	}
	if !isASCII(s) {
		return "", notPunycode(s)
	}
	if s != "" && !isHostName(host) {
		return "", fmt.Errorf("must be a host name such as \"mcp.example.com\", or one of SRV records such as \"_mcp._tcp.example.com\", not %s", quoted(s))
	}
	return s, nil
})

// kubernetesName is the name of an object (RFC 1123 labels); "" is allowed where
// that is empty too.
func kubernetesName(example string) valueType[string] {
	return word("a name in Kubernetes", func(s string) (string, error) {
		valid := len(s) <= 253 && !strings.ContainsFunc(s, func(r rune) bool {
			return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '.')
		})
		if !valid || s == "" && example != "" {
			return "", fmt.Errorf("must be a name in Kubernetes, of small letters, digits, hyphens and dots, not %s", quoted(s))
		}
		return s, nil
	})
}

// apiAddress is the address of the Kubernetes API. Only TLS keeps the token secret.
var apiAddress = word("an address such as \"https://10.0.0.1:6443\"", func(s string) (string, error) {
	if s == "" {
		return "", nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil {
		return "", fmt.Errorf("must be https://HOST:PORT, since the token must not be sent without TLS, not %s", quoted(s))
	}
	return "https://" + u.Host, nil
})

// portName is the name of a service's port, or a number, also one without quotes.
var portName = scalar(func(raw any) (string, error) {
	const want = `the name of a port of the service, such as "mcp", or a number from 1 to 65535`
	s, ok := raw.(string)
	if n, isNumber := raw.(int64); isNumber {
		s, ok = strconv.FormatInt(n, 10), true
	}
	if !ok || len(s) > 63 || hasControls(s) {
		return "", mustBe(want, raw)
	}
	if n, err := strconv.Atoi(s); err == nil && (n < 1 || n > 65535) {
		return "", mustBe(want, raw)
	}
	return s, nil
}, strconv.Quote).in(node{"anyOf": []node{{"type": "string"}, {"type": "integer", "minimum": 1, "maximum": 65535}}})

// validateDiscover reports a source that is none, or more than one, and ports that
// it lacks.
func validateDiscover(c *Config, b *Backend, d *decoder) {
	path := join("backend", b.Name) + ".discover"
	s := b.Discover
	if s == nil || !d.sound(path, path+".dns", path+".file", path+".kubernetes") {
		return
	}
	var sources []string
	for _, source := range []struct {
		key string
		set bool
	}{{"dns", s.DNS != ""}, {"file", s.File != ""}, {"kubernetes", s.Kubernetes != nil}} {
		if source.set {
			sources = append(sources, source.key)
		}
	}
	if len(sources) != 1 {
		reason := "has none of dns, file and kubernetes: write one of them, or leave the table out"
		if len(sources) > 1 {
			reason = "has " + enumerate(sources, "and") + ": servers of a backend are found in one way, so leave the others out"
		}
		d.fail(path, "%s", reason)
		return
	}
	if s.DNS == "" && d.given(path+".ports") {
		where := ""
		if s.Kubernetes != nil {
			where = ", and kubernetes has ports of its service"
		}
		d.report(path+".ports", "is only for dns%s: leave it out", where)
	}
	if !weightless(b) {
		validatePorts(c, b, path, d)
		return
	}
	d.fail(path+".weight", "is 0, and no other server of this backend has a weight, so no client could be served: give them a weight of 1 or more")
}

// weightless reports whether a backend can have no server of any weight. Servers of
// a file, and SRV records, may have their own.
func weightless(b *Backend) bool {
	return b.Discover.Weight == 0 && b.Discover.File == "" && !b.Discover.SRV() &&
		!slices.ContainsFunc(b.Servers, func(s Server) bool { return s.Weight > 0 })
}

// validatePorts reports ports that a frontend, a route or the check needs of every
// server.
func validatePorts(c *Config, b *Backend, path string, d *decoder) {
	s := b.Discover
	if s.File != "" || !d.sound(path+".ports") {
		return
	}
	ports, has := path+".ports", s.has(s.Ports)
	if k := s.Kubernetes; k != nil {
		one := func(name string) int { return min(len(name), 1) }
		ports = path + ".kubernetes.ports"
		has = s.has(Ports{one(k.Ports.TCP), one(k.Ports.HTTP), one(k.Ports.WS), one(k.Ports.SSE)})
	}
	needs := endpointNeeds(c, b, d)
	for _, e := range serverEndpoints {
		if needs[e] != "" && !has(e) && d.sound(ports+"."+string(e)) {
			d.fail(ports+"."+string(e), "is missing: %s needs this port of every server", needs[e])
		}
	}
	if len(needs) == 0 && !has(EndpointTCP) && !has(EndpointHTTP) && d.sound(ports) {
		d.fail(ports, "is missing: the servers need a port, tcp or http")
	}
}

// has returns whether a server with these ports has an address for an endpoint. An
// SRV record has a port for all.
func (s *Discover) has(ports Ports) func(Endpoint) bool {
	at := s.At("", "host", ports)
	return func(e Endpoint) bool { return s.SRV() || at.Address(e) != "" }
}

// endpointsOf returns which of TCP and HTTP the clients and checks of a backend use.
func (c *Config) endpointsOf(b *Backend) (used []Endpoint) {
	tcp, http := false, b.Check.Type == CheckHTTP
	for i := range c.Frontends {
		if f := &c.Frontends[i]; f.uses(b.Name) {
			http = http || f.Mode == ModeHTTP
			tcp = tcp || f.Mode != ModeHTTP
		}
	}
	if tcp || !http {
		used = append(used, EndpointTCP)
	}
	if http {
		used = append(used, EndpointHTTP)
	}
	return used
}
