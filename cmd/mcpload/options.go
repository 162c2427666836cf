package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"
)

// options say what one run of load is to be. They are not changed while it runs.
type options struct {
	title string

	targets                  [numKinds]string // host:port by kind; ws and sse have http's
	mcpPath, wsPath, ssePath string
	host                     string // the Host header; "" = the address
	authority, serverName    string // of TLS: a file of certificates that are trusted, and the name expected
	insecure                 bool

	clients int
	mix     mix
	from    netip.Prefix // addresses to come from
	sources int          // how many of them; 0 = the kernel's choice
	threads int

	rate        int // clients started a second
	opening     int // at most so many at a time; 0 = no limit
	openTimeout time.Duration
	interval    time.Duration // between two messages of a client; 0 = the next one as soon as the last is answered
	message     message
	size        int           // bytes of an echo
	timeout     time.Duration // for an answer
	reconnect   time.Duration // the first pause before a lost client comes back; 0 = never
	load        time.Duration
	monitor     time.Duration

	faultCommand, repairCommand string // "" = none
	faultAt, repairAt           time.Duration
	faultNode                   string
	admin                       string // host:port of the balancer's admin pages; "" = not asked

	holding func() // called when all clients have been there for a while, before they go; nil = nothing is
	watch   watchList
	every   time.Duration // between two samples
	quiet   bool

	jsonFile, csvFile, htmlFile string
	expect                      expectations
}

// defaultOptions are what the flags begin with.
func defaultOptions() options {
	o := options{
		mcpPath: "/mcp", wsPath: "/mcp/ws", ssePath: "/mcp/sse",
		clients: 1000,
		mix:     mix{kindTCP: 1},
		from:    netip.MustParsePrefix("127.200.0.0/16"),
		sources: 1000,
		threads: 1,
		rate:    1000, opening: 500, openTimeout: 30 * time.Second,
		interval: time.Second, size: 64, timeout: 10 * time.Second,
		reconnect: 100 * time.Millisecond,
		load:      10 * time.Second, monitor: 2 * time.Second, every: time.Second,
	}
	o.targets[kindTCP], o.targets[kindHTTP] = "127.0.0.1:8000", "127.0.0.1:8080"
	o.targets[kindTLS], o.targets[kindHTTPS] = "127.0.0.1:8001", "127.0.0.1:8443"
	return o
}

// define defines the flags of a run.
func (o *options) define(flags *flag.FlagSet) {
	flags.StringVar(&o.title, "title", "", "a `name` for the report")
	flags.StringVar(&o.targets[kindTCP], "tcp", o.targets[kindTCP], "`host:port` of a frontend for lines (kind tcp)")
	flags.StringVar(&o.targets[kindHTTP], "http", o.targets[kindHTTP], "`host:port` of a frontend of mode http (kinds http, ws, sse)")
	flags.StringVar(&o.targets[kindTLS], "tls", o.targets[kindTLS], "`host:port` of a frontend for lines over TLS (kind tls)")
	flags.StringVar(&o.targets[kindHTTPS], "https", o.targets[kindHTTPS], "`host:port` of a frontend of mode http with TLS (kind https)")
	flags.StringVar(&o.mcpPath, "path", o.mcpPath, "`path` of Streamable HTTP")
	flags.StringVar(&o.wsPath, "ws-path", o.wsPath, "`path` of WebSocket")
	flags.StringVar(&o.ssePath, "sse-path", o.ssePath, "`path` of HTTP+SSE")
	flags.StringVar(&o.host, "host", "", "the Host header's `value` (default the address of -http)")
	flags.StringVar(&o.authority, "ca", "", "trust the certificates in this `file` (default the system's)")
	flags.StringVar(&o.serverName, "server-name", "", "the `name` expected in the server's certificate (default the address's)")
	flags.BoolVar(&o.insecure, "insecure", false, "trust every certificate")
	flags.IntVar(&o.clients, "n", o.clients, "how many `clients`")
	flags.Func("mix", "`kinds` of clients and their shares, such as tcp=70,http=10,ws=10,sse=10 (default tcp)", func(s string) (err error) {
		o.mix, err = parseMix(s)
		return err
	})
	flags.TextVar(&o.from, "from", o.from, "come from addresses of this `network`")
	flags.IntVar(&o.sources, "sources", o.sources, "from how `many` of them; 0 = from whichever the kernel chooses")
	flags.IntVar(&o.threads, "threads", o.threads, "how `many` event loops")
	flags.IntVar(&o.rate, "rate", o.rate, "`clients` started a second")
	flags.IntVar(&o.opening, "opening", o.opening, "start no more while so `many` are opening; 0 = whatever")
	flags.DurationVar(&o.openTimeout, "open-timeout", o.openTimeout, "a client that has no session after this long is lost")
	flags.DurationVar(&o.interval, "interval", o.interval, "each client's time between two messages; 0 = the next when the last is answered")
	flags.Func("message", "what is asked for: whoami (the node's name), echo or ping (default whoami)", func(s string) error {
		for m, name := range messageNames {
			if name == s {
				o.message = message(m)
				return nil
			}
		}
		return fmt.Errorf("there are %s", strings.Join(messageNames[:], ", "))
	})
	flags.IntVar(&o.size, "size", o.size, "`bytes` of an echo's text")
	flags.DurationVar(&o.timeout, "timeout", o.timeout, "a client that is not answered after this long is lost")
	flags.DurationVar(&o.reconnect, "reconnect", o.reconnect, "a lost client's first pause, doubled with every failure; 0 = it stays away")
	flags.DurationVar(&o.load, "load", o.load, "how long messages are sent")
	flags.DurationVar(&o.monitor, "monitor", o.monitor, "how long all is silent afterwards, before every client must answer once more")
	flags.StringVar(&o.faultCommand, "fault", "", "a shell `command` that breaks something while messages are sent")
	flags.DurationVar(&o.faultAt, "fault-at", 5*time.Second, "when, after the load's beginning")
	flags.StringVar(&o.faultNode, "fault-node", "", "the `node` that it breaks: others' clients must not notice")
	flags.StringVar(&o.repairCommand, "repair", "", "a shell `command` that mends it")
	flags.DurationVar(&o.repairAt, "repair-at", 10*time.Second, "when, after the load's beginning, but not before all lost clients are back")
	flags.StringVar(&o.admin, "admin", "", "`host:port` of the balancer's admin pages: asked when it has seen the fault and the repair")
	flags.Var(&o.watch, "watch", "show what a process has in use: `name=pid`, or name=self; may be repeated")
	flags.DurationVar(&o.every, "every", o.every, "how often a sample is taken and shown")
	flags.BoolVar(&o.quiet, "quiet", false, "no progress")
	flags.StringVar(&o.jsonFile, "json", "", "write the report to this `file`")
	flags.StringVar(&o.csvFile, "csv", "", "write a line a second to this `file`")
	flags.StringVar(&o.htmlFile, "html", "", "write the report with plots to this `file`")
	o.expect.define(flags)
}

// parseRunOptions reads the command line of "mcpload run".
func parseRunOptions(args []string, stderr io.Writer) (options, error) {
	o := defaultOptions()
	flags := flag.NewFlagSet("mcpload run", flag.ContinueOnError)
	flags.SetOutput(stderr)
	o.define(flags)
	flags.Usage = func() {
		fmt.Fprint(stderr, "mcpload run opens sessions (ramp), has each send messages (load), holds them silent and asks each once\nmore (monitor), and tells what it saw (report).\n\nUsage: mcpload run [flags]\n")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q; see mcpload run -h", flags.Arg(0))
	}
	return o, o.validate()
}

// validate finds what cannot be, and fills in what follows from the rest.
func (o *options) validate() error {
	o.targets[kindWS], o.targets[kindSSE] = o.targets[kindHTTP], o.targets[kindHTTP]
	if o.host == "" {
		o.host = o.targets[kindHTTP]
	}
	switch {
	case o.clients < 1:
		return errors.New("-n must be at least 1")
	case o.rate < 1:
		return errors.New("-rate must be at least 1")
	case o.threads < 1:
		return errors.New("-threads must be at least 1")
	case o.sources < 0 || o.opening < 0 || o.size < 0 || o.reconnect < 0 || o.interval < 0 || o.load < 0 || o.monitor < 0:
		return errors.New("a number or duration is negative")
	case o.timeout <= 0 || o.openTimeout <= 0 || o.every <= 0:
		return errors.New("-timeout, -open-timeout and -every must be above zero")
	case o.size > maxMessage/2:
		return fmt.Errorf("-size must be at most %d", maxMessage/2)
	case o.faultCommand != "" && o.faultAt >= o.load, o.repairCommand != "" && o.repairAt >= o.load:
		return errors.New("-fault-at and -repair-at must be within -load")
	}
	if err := o.checkSources(); err != nil {
		return err
	}
	for k, share := range o.mix {
		if share == 0 {
			continue
		}
		if _, _, err := net.SplitHostPort(o.targets[k]); err != nil {
			return fmt.Errorf("the address for kind %v: %w; write host:port", kind(k), err)
		}
	}
	return nil
}

func (o *options) checkSources() error {
	if o.sources == 0 {
		return nil
	}
	if !o.from.IsValid() {
		return errors.New("-from must be a network, such as 127.200.0.0/16")
	}
	o.from = o.from.Masked()
	if room := o.from.Addr().BitLen() - o.from.Bits(); room < 31 && o.sources > 1<<room-2 {
		return fmt.Errorf("-from %v has fewer than the %d addresses of -sources", o.from, o.sources)
	}
	return nil
}

// resolve turns the targets that are used into addresses.
func (o *options) resolve() (targets [numKinds]netip.AddrPort, err error) {
	for k, share := range o.mix {
		if share == 0 {
			continue
		}
		address, err := net.ResolveTCPAddr("tcp", o.targets[k])
		if err != nil {
			return targets, fmt.Errorf("find the address for kind %v: %w", kind(k), err)
		}
		target := address.AddrPort()
		if !target.Addr().IsValid() {
			target = netip.AddrPortFrom(netip.IPv4Unspecified(), target.Port())
		}
		targets[k] = netip.AddrPortFrom(target.Addr().Unmap(), target.Port())
		if o.sources > 0 && targets[k].Addr().Is4() != o.from.Addr().Is4() {
			return targets, fmt.Errorf("-from %v cannot reach %v: name a network of the same family", o.from, targets[k])
		}
	}
	return targets, nil
}

// files is how many descriptors the run needs.
func (o *options) files() int {
	pattern := o.mix.pattern()
	all := 0
	for _, k := range pattern {
		all += k.files()
	}
	return o.clients*all/len(pattern) + filesBeside
}

// filesBeside is what a process has open beside its clients, generously.
const filesBeside = 100

// watchList are processes whose use of resources is shown.
type watchList []watched

type watched struct {
	name string
	pid  int
}

// String implements flag.Value.
func (l *watchList) String() string {
	if l == nil {
		return ""
	}
	var parts []string
	for _, w := range *l {
		parts = append(parts, w.name+"="+strconv.Itoa(w.pid))
	}
	return strings.Join(parts, ",")
}

// Set implements flag.Value.
func (l *watchList) Set(text string) error {
	for part := range strings.SplitSeq(text, ",") {
		name, number, ok := strings.Cut(part, "=")
		pid, err := strconv.Atoi(number)
		if number == "self" {
			pid, err = os.Getpid(), nil
		}
		if !ok || err != nil || pid < 1 {
			return fmt.Errorf("%q is not name=pid", part)
		}
		*l = append(*l, watched{name, pid})
	}
	return nil
}
