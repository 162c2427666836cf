package main

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"mcplb/cmd/mcpload/proc"
)

// options holds the command line's values.
type options struct {
	to, echo   string
	pids, only string
	idle       int
	clients    int
	messages   int
	handshakes int
	size       int
	pause      time.Duration
}

func main() {
	var o options
	flag.StringVar(&o.to, "to", "127.61.0.1:8443", "the TLS frontend, as `host:port`")
	flag.StringVar(&o.echo, "echo", "127.61.0.1:9001", "where to echo, as `host:port`")
	flag.StringVar(&o.pids, "pid", "", "the process `IDs` of a balancer that runs already; \"\" = start them")
	flag.StringVar(&o.only, "only", "", "the `balancer` to start: mcplb, HAProxy or nginx; \"\" = all")
	flag.IntVar(&o.idle, "idle", 4000, "number of idle connections")
	flag.IntVar(&o.clients, "clients", 16, "number of clients that send messages")
	flag.IntVar(&o.messages, "messages", 3000, "number of messages of each")
	flag.IntVar(&o.handshakes, "handshakes", 4000, "number of handshakes of either kind")
	flag.IntVar(&o.size, "size", 100, "bytes of a message")
	flag.DurationVar(&o.pause, "pause", 45*time.Second, "how long the balancer rests before memory is measured")
	flag.Parse()
	if err := run(&o); err != nil {
		fmt.Fprintln(os.Stderr, "tlscost:", err)
		os.Exit(1)
	}
}

func run(o *options) error {
	listener, err := net.Listen("tcp", o.echo)
	if err != nil {
		return err
	}
	defer listener.Close()
	go echo(listener)
	if o.pids == "" {
		return compare(o)
	}
	pids, err := pidsIn(o.pids)
	if err != nil {
		return err
	}
	m := &target{options: *o, to: o.to, pids: func() []int { return pids }}
	f, err := m.measure()
	if err != nil {
		return err
	}
	return show([]string{o.to}, []figures{f})
}

// compare measures the balancers, one after the other.
func compare(o *options) error {
	directory, err := os.MkdirTemp("", "tlscost-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(directory)
	if err := prepare(directory); err != nil {
		return err
	}
	var names []string
	var all []figures
	for i := range balancers {
		b := &balancers[i]
		if o.only != "" && !strings.EqualFold(o.only, b.name) {
			continue
		}
		p, installed, err := o.start(b, directory)
		if err != nil {
			return err
		}
		if !installed {
			fmt.Fprintln(os.Stderr, b.name, "is not installed")
			continue
		}
		m := &target{options: *o, to: o.to, pids: func() []int { return proc.Family(p.PID()) }}
		f, err := m.measure()
		output, ended := p.Ended()
		p.Stop()
		if err != nil {
			if ended {
				err = errors.Join(err, errors.New(output))
			}
			return fmt.Errorf("%s: %w", b.name, err)
		}
		names = append(names, b.name+" "+o.versionOf(b, directory))
		all = append(all, f)
	}
	return show(names, all)
}

// show prints a table, with a column for each balancer.
func show(names []string, all []figures) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	row := func(name string, value func(*figures) string) {
		fmt.Fprint(w, name)
		for i := range all {
			fmt.Fprint(w, "\t", value(&all[i]))
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintln(w, strings.Join(append([]string{""}, names...), "\t"))
	micros := func(d time.Duration) string { return fmt.Sprintf("%.1f us", float64(d.Nanoseconds())/1000) }
	kilo := func(bytes float64) string { return fmt.Sprintf("%.1f KB", bytes/1000) }
	row("CPU per full handshake", func(f *figures) string { return micros(f.full) })
	row("full handshakes a second", func(f *figures) string { return fmt.Sprintf("%.0f", f.fullRate) })
	row("CPU per resumed handshake", func(f *figures) string { return micros(f.resumed) })
	row("resumed handshakes a second", func(f *figures) string { return fmt.Sprintf("%.0f", f.resumedRate) })
	row("resumed, of those that could be", func(f *figures) string { return fmt.Sprintf("%.1f%%", 100*f.resumedShare) })
	row("CPU per message, there and back", func(f *figures) string { return micros(f.message) })
	row("memory per connection, at once", func(f *figures) string { return kilo(f.burst) })
	row("memory per idle connection", func(f *figures) string { return kilo(f.idle) })
	return w.Flush()
}
