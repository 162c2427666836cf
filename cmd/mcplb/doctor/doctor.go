package doctor

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"mcplb/backend/discovery"
	"mcplb/cmd/internal/holder"
	"mcplb/conf"
	"mcplb/healthcheck"
)

// Level is how serious a finding is.
type Level int

// The levels of a Finding.
const (
	OK      Level = iota // as it should be
	Warning              // will be a problem under load, or later
	Problem              // is a problem now
)

// String returns the level as the command prints it.
func (l Level) String() string { return [...]string{"ok", "warning", "PROBLEM"}[l] }

// Finding is what was found about one subject.
type Finding struct {
	Level   Level
	Subject string // such as "open files" or "server nodes/node1"
	Text    string // what is the case
	Advice  string // what to do; "" = nothing
}

// Machine is the machine that is examined. A test replaces its functions.
type Machine struct {
	Now        func() time.Time
	ReadFile   func(path string) ([]byte, error) // of /proc
	OpenFiles  func() (hard uint64, err error)   // the most that this process may have
	ClockError func() (synchronized bool, err error)
	Lookup     func(ctx context.Context, by conf.Resolver, host string, family conf.Family) (netip.Addr, error)
	Dial       func(ctx context.Context, address string) error
	Check      func(ctx context.Context, check conf.Check, to healthcheck.Target) healthcheck.Result
	Bind       func(address string) error                 // whether it can be listened on
	Holder     func(address string) (holder.Holder, bool) // who listens there
}

// ThisMachine returns the machine that the process runs on.
func ThisMachine() Machine {
	return Machine{
		Now: time.Now, ReadFile: os.ReadFile, OpenFiles: openFiles, ClockError: clockSynchronized,
		Lookup: lookUp, Dial: dial, Check: healthcheck.Once,
		Bind: bindable, Holder: findHolder,
	}
}

// lookUp looks a host name up as the balancer does, and returns the address that it
// would use.
func lookUp(ctx context.Context, by conf.Resolver, host string, family conf.Family) (netip.Addr, error) {
	answer, err := discovery.New(by, discovery.System{}).Addresses(ctx, host, family)
	if err != nil {
		return netip.Addr{}, err
	}
	return answer.Addresses[0], nil
}

func openFiles() (uint64, error) {
	var limit unix.Rlimit
	err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit)
	return limit.Max, os.NewSyscallError("getrlimit", err)
}

func dial(ctx context.Context, address string) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return conn.Close()
}

// examination is one run of Examine.
type examination struct {
	Machine
	config *conf.Config

	mu       sync.Mutex
	findings []Finding // guarded by mu
}

// reachTimeout bounds the wait for names and servers.
const reachTimeout = 3 * time.Second

// Examine examines a machine for a configuration, or without one (nil) what does
// not depend on it. It returns within some seconds, sooner if ctx ends.
func Examine(ctx context.Context, config *conf.Config, machine Machine) []Finding {
	e := &examination{Machine: machine, config: config}
	e.files()
	e.kernel()
	e.clock()
	if config != nil {
		e.listeners()
		e.ports()
		e.certificates()
		e.servers(ctx)
	}
	return e.findings
}

func (e *examination) add(level Level, subject, advice, text string, args ...any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if level == OK {
		advice = ""
	}
	e.findings = append(e.findings, Finding{level, subject, fmt.Sprintf(text, args...), advice})
}

// certificates reports those that clients refuse, now or soon.
func (e *examination) certificates() {
	now := e.Now()
	level, n := Warning, 0
	for _, f := range e.config.Frontends {
		if f.TLS == nil {
			continue
		}
		for _, c := range f.TLS.Certificates {
			n++
			if now.After(c.Pair.Leaf.NotAfter) || now.Before(c.Pair.Leaf.NotBefore) {
				level = Problem
			}
		}
	}
	warnings := e.config.Warnings(now)
	for _, warning := range warnings {
		e.add(level, "certificate", "", "%s", warning)
	}
	if n > 0 && len(warnings) == 0 {
		e.add(OK, "certificates", "", "%d, all valid", n)
	}
}

func (e *examination) clock() {
	synchronized, err := e.ClockError()
	switch {
	case err != nil:
		e.add(Warning, "clock", "", "whether it is right is unknown: %v", err)
	case !synchronized:
		e.add(Warning, "clock", "run a time service (systemd-timesyncd, chrony): certificates and logs need the right time", "is not synchronized; it says %s", e.Now().UTC().Format(time.RFC3339))
	default:
		e.add(OK, "clock", "", "is synchronized")
	}
}
