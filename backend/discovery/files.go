package discovery

import (
	"cmp"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// mostNameServers is how many name servers of resolv.conf are used, as by the system
// (MAXNS).
const mostNameServers = 3

func orDefault(path, otherwise string) string { return cmp.Or(path, otherwise) }

// watched is a file that is read again when it has changed.
type watched[T any] struct {
	path  string
	parse func(text string) T

	mu      sync.Mutex // guards what follows
	read    bool
	stamp   stamp
	changed bool // since the last refresh
	value   T
}

// stamp is what changes when a file does.
type stamp struct {
	size    int64
	changed time.Time
	file    os.FileInfo
}

func (s stamp) same(other stamp) bool {
	if s.file == nil || other.file == nil {
		return s.file == nil && other.file == nil
	}
	return s.size == other.size && s.changed.Equal(other.changed) && os.SameFile(s.file, other.file)
}

// get returns the file's contents. A file that cannot be read is empty.
func (w *watched[T]) get() T {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.load()
	return w.value
}

// refresh reads the file if it has changed, and reports whether it did since the
// last refresh.
func (w *watched[T]) refresh() (changed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.load()
	changed, w.changed = w.changed, false
	return changed
}

func (w *watched[T]) load() {
	var now stamp
	if info, err := os.Stat(w.path); err == nil {
		now = stamp{info.Size(), info.ModTime(), info}
	}
	if w.read && now.same(w.stamp) {
		return
	}
	text, _ := os.ReadFile(w.path)
	w.value, w.stamp = w.parse(string(text)), now
	w.changed = w.changed || w.read
	w.read = true
}

// hostsFile is the contents of a hosts file.
type hostsFile struct {
	addresses map[string][]netip.Addr // by canonical name, each once
}

// parseHosts reads hosts(5). Lines that make no sense are ignored.
func parseHosts(text string) hostsFile {
	h := hostsFile{addresses: map[string][]netip.Addr{}}
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		address, err := netip.ParseAddr(fields[0])
		if err != nil {
			continue
		}
		address = address.Unmap()
		for _, name := range fields[1:] {
			name = dns.CanonicalName(name)
			if !slices.Contains(h.addresses[name], address) {
				h.addresses[name] = append(h.addresses[name], address)
			}
		}
	}
	return h
}

// resolvConf is the contents of a resolv.conf.
type resolvConf struct {
	servers       []string // IP:PORT
	search        []string // absolute names
	ndots         int
	attempts      int
	rotate        bool
	singleRequest bool // A and AAAA one after the other
	tcp           bool // never UDP
}

// parseResolvConf reads resolv.conf(5), as the C library does. timeout is not read:
// [resolver] has one.
func parseResolvConf(text string) resolvConf {
	c := resolvConf{ndots: 1, attempts: 2}
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 2 || line[0] == '#' || line[0] == ';' {
			continue
		}
		switch fields[0] {
		case "nameserver":
			if address, err := netip.ParseAddr(fields[1]); err == nil && len(c.servers) < mostNameServers {
				c.servers = append(c.servers, net.JoinHostPort(address.String(), "53"))
			}
		case "domain":
			c.search = searchList(fields[1:2])
		case "search":
			c.search = searchList(fields[1:])
		case "options":
			for _, option := range fields[1:] {
				c.option(option)
			}
		}
	}
	if len(c.servers) == 0 {
		c.servers = []string{"127.0.0.1:53"}
	}
	if c.search == nil {
		c.search = ownDomain()
	}
	return c
}

// searchList returns domains as absolute names, without the root.
func searchList(domains []string) []string {
	list := []string{}
	for _, d := range domains {
		if name := dns.Fqdn(d); name != "." {
			list = append(list, name)
		}
	}
	return list
}

// ownDomain is the domain of this machine's name, if that has one.
func ownDomain() []string {
	name, _ := os.Hostname()
	if _, domain, found := strings.Cut(name, "."); found && domain != "" {
		return []string{dns.Fqdn(domain)}
	}
	return nil
}

// option takes one word of a line of options.
func (c *resolvConf) option(word string) {
	key, value, _ := strings.Cut(word, ":")
	number, _ := strconv.Atoi(value)
	switch key {
	case "ndots":
		c.ndots = min(max(number, 0), 15)
	case "attempts":
		c.attempts = min(max(number, 1), 5)
	case "rotate":
		c.rotate = true
	case "single-request", "single-request-reopen":
		c.singleRequest = true
	case "use-vc", "usevc", "tcp":
		c.tcp = true
	}
}

// candidates returns the absolute names that a name may stand for, in the order in
// which they are tried. A name with a dot at its end stands for itself.
func (c *resolvConf) candidates(name string) (all []string) {
	if dns.IsFqdn(name) {
		return []string{name}
	}
	absolute := dns.Fqdn(name)
	asItIs := strings.Count(name, ".") >= c.ndots
	if asItIs {
		all = append(all, absolute)
	}
	for _, domain := range c.search {
		if longer := absolute + domain; len(longer) <= 254 {
			all = append(all, longer)
		}
	}
	if !asItIs {
		all = append(all, absolute)
	}
	return all
}
