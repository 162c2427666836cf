package doctor

import (
	"fmt"
	"strconv"
	"strings"
)

// Open files: a client's socket and its server's, and what everything else takes.
const (
	filesPerClient = 2
	ownFiles       = 200
)

// files compares the limit of open files with maxconn.
func (e *examination) files() {
	limit, err := e.OpenFiles()
	if err != nil {
		e.add(Warning, "open files", "", "the limit is unknown: %v", err)
		return
	}
	clients := 0
	if e.config != nil {
		clients = e.config.Global.MaxConn
	}
	const few = 65_536
	needed := uint64(clients)*filesPerClient + ownFiles
	if clients == 0 {
		needed = 2*few + ownFiles
	}
	advice := fmt.Sprintf("raise LimitNOFILE in the systemd unit (systemctl edit mcplb: [Service] LimitNOFILE=%[1]d, then systemctl restart mcplb), or ulimit -n %[1]d in the shell", needed)
	switch {
	case clients > 0 && uint64(clients)*filesPerClient > limit:
		e.add(Problem, "open files", advice, "%d are allowed, and global.maxconn = %d needs more than %d", limit, clients, clients*filesPerClient)
	case clients == 0 && limit < few:
		e.add(Warning, "open files", advice, "%d are allowed: some %d clients fit", limit, limit/filesPerClient)
	default:
		e.add(OK, "open files", "", "%d are allowed", limit)
	}
}

// setting is a kernel setting with the least value for many connections.
type setting struct {
	name  string // as sysctl writes it
	least int
	lost  string // what happens below
}

// settings are those of packaging/systemd/60-mcplb.conf.
var settings = []setting{
	{"net.core.somaxconn", 4096, "a burst of new clients overflows the listeners' queues, and clients try again after a second"},
	{"net.ipv4.tcp_max_syn_backlog", 1024, "a burst of new clients is answered with SYN cookies or dropped"},
	{"net.ipv4.tcp_max_orphans", 16384, "clients of a server that died may not see that their connection has ended"},
}

// kernel checks what many connections need.
func (e *examination) kernel() {
	sound := true
	for _, s := range settings {
		value, err := e.sysctl(s.name)
		if err != nil || len(value) == 0 {
			continue // a container may hide it, and other systems lack it
		}
		if value[0] < s.least {
			sound = false
			e.add(Warning, "kernel", fmt.Sprintf("sysctl -w %s=65535, or install packaging/systemd/60-mcplb.conf", s.name), "%s is %d: %s", s.name, value[0], s.lost)
		}
	}
	e.conntrack(&sound)
	if sound {
		e.add(OK, "kernel", "", "its settings are right for many connections")
	}
}

// conntrack checks the firewall's table, if there is one: each connection is an entry.
func (e *examination) conntrack(sound *bool) {
	most, err := e.sysctl("net.netfilter.nf_conntrack_max")
	if err != nil || len(most) == 0 || e.config == nil {
		return
	}
	if needed := e.config.Global.MaxConn * filesPerClient; needed > most[0] {
		*sound = false
		e.add(Problem, "kernel", fmt.Sprintf("sysctl -w net.netfilter.nf_conntrack_max=%d, or exempt the balancer's ports (notrack)", 2*needed),
			"the firewall follows at most %d connections, and global.maxconn needs %d", most[0], needed)
	}
}

// sysctl reads the numbers of a kernel setting.
func (e *examination) sysctl(name string) (values []int, err error) {
	text, err := e.ReadFile("/proc/sys/" + strings.ReplaceAll(name, ".", "/"))
	if err != nil {
		return nil, err
	}
	for word := range strings.FieldsSeq(string(text)) {
		n, err := strconv.Atoi(word)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		values = append(values, n)
	}
	return values, nil
}

// ports compares the local ports with what servers may be sent: each address of a
// server can have as many connections as there are ports, from each source address.
func (e *examination) ports() {
	bounds, err := e.sysctl("net.ipv4.ip_local_port_range")
	if err != nil || len(bounds) != 2 {
		return // as above
	}
	perSource := bounds[1] - bounds[0] + 1
	sound := true
	for i := range e.config.Backends {
		b := &e.config.Backends[i]
		available := perSource * max(len(b.Source), 1)
		for j := range b.Servers {
			if n := b.Servers[j].MaxConn; n > available {
				sound = false
				e.add(Warning, "ports", "set the backend's source to several addresses of this machine, or widen net.ipv4.ip_local_port_range",
					"%d connections to one server are possible, and maxconn of %s/%s is %d", available, b.Name, b.Servers[j].Name, n)
			}
		}
	}
	if sound {
		e.add(OK, "ports", "", "%d for each server", perSource)
	}
}
