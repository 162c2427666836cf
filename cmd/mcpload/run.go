package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"mcplb/cmd/internal/cli"
	"mcplb/cmd/mcpload/clients"
	"mcplb/cmd/mcpload/report"
	"mcplb/cmd/mcpload/run"
)

// runFlags are the flags of "mcpload run".
type runFlags struct {
	run.Options
	files report.Files
}

// define defines the flags, in the order of the help.
func (f *runFlags) define(flags *pflag.FlagSet) {
	flags.SortFlags = false
	f.defineTargets(flags)
	f.defineClients(flags)
	f.definePhases(flags)
	f.defineFault(flags)
	f.defineOutput(flags)
	f.defineExpectations(flags)
}

func (f *runFlags) defineTargets(flags *pflag.FlagSet) {
	flags.StringVar(&f.Addresses[clients.TCP], "tcp", f.Addresses[clients.TCP], "`host:port` of a frontend for lines (kind tcp)")
	flags.StringVar(&f.Addresses[clients.HTTP], "http", f.Addresses[clients.HTTP], "`host:port` of a frontend of mode http (kinds http, ws, sse, h2c)")
	flags.StringVar(&f.Addresses[clients.TLS], "tls", f.Addresses[clients.TLS], "`host:port` of a frontend for lines over TLS (kind tls)")
	flags.StringVar(&f.Addresses[clients.HTTPS], "https", f.Addresses[clients.HTTPS], "`host:port` of a frontend of mode http with TLS (kinds https, h2)")
	flags.StringVar(&f.MCPPath, "path", f.MCPPath, "`path` of Streamable HTTP")
	flags.StringVar(&f.WSPath, "ws-path", f.WSPath, "`path` of WebSocket")
	flags.StringVar(&f.SSEPath, "sse-path", f.SSEPath, "`path` of HTTP+SSE")
	flags.StringVar(&f.Host, "host", "", "the `value` of the Host header (default the address of -http)")
	flags.StringVar(&f.CA, "ca", "", "trust the certificates in this `file` (default the system's)")
	flags.StringVar(&f.ServerName, "server-name", "", "the `name` expected in the server's certificate (default the address's host)")
	flags.BoolVar(&f.Insecure, "insecure", false, "trust every certificate")
}

func (f *runFlags) defineClients(flags *pflag.FlagSet) {
	flags.IntVarP(&f.Clients, "clients", "n", f.Clients, "the number of `clients`")
	flags.Func("mix", "the `kinds` of clients and their shares, such as tcp=70,http=10,ws=10,sse=10 (default tcp)", func(s string) (err error) {
		f.Mix, err = clients.ParseMix(s)
		return err
	})
	flags.TextVar(&f.From, "from", f.From, "the source addresses are in this `network`")
	flags.IntVar(&f.Sources, "sources", f.Sources, "the `number` of source addresses; 0 = the kernel chooses one")
	flags.IntVar(&f.Threads, "threads", f.Threads, "the `number` of event loops")
	flags.Func("message", "the `message`: whoami (asks for the node's name), echo or ping (default whoami)", func(s string) (err error) {
		f.Message, err = clients.ParseMessage(s)
		return err
	})
	flags.IntVar(&f.Size, "size", f.Size, "the length of an echo's text in `bytes`")
}

func (f *runFlags) definePhases(flags *pflag.FlagSet) {
	flags.IntVar(&f.Rate, "rate", f.Rate, "the number of `clients` started per second")
	flags.IntVar(&f.Opening, "opening", f.Opening, "the greatest `number` of clients that open a session at a time; 0 = no limit")
	flags.DurationVar(&f.OpenTimeout, "open-timeout", f.OpenTimeout, "a client that has no session after this time is lost")
	flags.DurationVar(&f.Interval, "interval", f.Interval, "the time between two messages of a client; 0 = it sends the next when the last is answered")
	flags.DurationVar(&f.Timeout, "timeout", f.Timeout, "a client that is not answered after this time is lost")
	flags.DurationVar(&f.Reconnect, "reconnect", f.Reconnect, "the first pause of a lost client, doubled with every failure; 0 = it does not return")
	flags.DurationVar(&f.Load, "load", f.Load, "how long messages are sent")
	flags.DurationVar(&f.Monitor, "monitor", f.Monitor, "how long all clients are silent afterwards, before each must answer once more")
}

func (f *runFlags) defineFault(flags *pflag.FlagSet) {
	flags.StringVar(&f.Fault.Command, "fault", "", "a shell `command` that breaks something during the load")
	flags.DurationVar(&f.Fault.At, "fault-at", f.Fault.At, "the time of -fault, after the start of the load")
	flags.StringVar(&f.Fault.Node, "fault-node", "", "the `node` that -fault breaks: the clients of others must not notice")
	flags.StringVar(&f.Fault.Repair, "repair", "", "a shell `command` that repairs it")
	flags.DurationVar(&f.Fault.RepairAt, "repair-at", f.Fault.RepairAt, "the time of -repair, after the start of the load, but not before all lost clients are back")
	flags.StringVar(&f.Fault.Admin, "admin", "", "`host:port` of the balancer's admin pages, which show when it has noticed the fault and the repair")
}

func (f *runFlags) defineOutput(flags *pflag.FlagSet) {
	flags.StringVar(&f.Title, "title", "", "a `name` for the report")
	flags.Var((*watchList)(&f.Watch), "watch", "show what a process has in use: `name=pid`, or name=self; may be repeated")
	flags.DurationVar(&f.Every, "every", f.Every, "the time between two samples")
	flags.BoolVar(&f.Quiet, "quiet", false, "write no progress")
	flags.StringVar(&f.files.JSON, "json", "", "write the report to this `file`")
	flags.StringVar(&f.files.CSV, "csv", "", "write one line per sample to this `file`")
	flags.StringVar(&f.files.HTML, "html", "", "write the report with plots to this `file`")
}

func (f *runFlags) defineExpectations(flags *pflag.FlagSet) {
	e := &f.Expect
	flags.Func("expect-distribution", "no node is further off its share of the sessions than this `percentage`, such as 2%", percentTo(&e.Distribution))
	flags.DurationVar(&e.P50, "expect-p50", 0, "the median latency is at most this long")
	flags.DurationVar(&e.P95, "expect-p95", 0, "95% of the answers take at most this long")
	flags.DurationVar(&e.P99, "expect-p99", 0, "99% of the answers take at most this long")
	flags.Func("expect-spread", "the nodes' median latencies are within this `percentage`, such as 5%", percentTo(&e.Spread))
	flags.BoolVar(&e.Sticky, "expect-sticky", false, "no answer comes from another node, and without a fault no client changes its node")
	flags.DurationVar(&e.Failover, "expect-failover", 0, "the balancer notices the fault within this time (needs -admin and -fault-node)")
	flags.DurationVar(&e.Recovery, "expect-recovery", 0, "every client that lost its session by the fault has a new one within this time")
	flags.BoolVar(&e.Undisturbed, "expect-undisturbed", false, "only clients of -fault-node lose their session")
	flags.Var((*memoryList)(&e.Memory), "expect-memory", "a watched process uses at most `name=MB`; may be repeated")
	flags.Uint64Var(&e.Errors, "expect-errors", 0, "at most this `number` of sessions or attempts is lost (with a fault: besides those of -fault-node)")
}

func runCommand() *cobra.Command {
	f := runFlags{Options: run.Defaults()}
	c := &cobra.Command{
		Use: "run [flags]", Short: "Put load on a cluster that is running",
		Long: `Open sessions (ramp), send messages in each (load), keep them silent and then send
one more message in each (monitor), and report the results.`,
		Example: `  mcpload run -n 9000 -mix tcp=70,http=10,ws=10,sse=10 -expect-p99 100ms -html report.html
  mcpload run -load 1m -fault "kill -9 4711" -fault-node node1 -admin 127.0.0.1:8404 -expect-failover 5s`,
	}
	f.define(c.Flags())
	completeValues(c, "message", "whoami", "echo", "ping")
	completeValues(c, "mix", "tcp", "http", "ws", "sse", "tls", "https", "h2", "h2c", "tcp=70,http=10,ws=10,sse=10")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := f.Validate(); err != nil {
			return cli.Misuse("%w", err)
		}
		return f.run(c)
	}
	return c
}

// run does the run and writes the report.
func (f *runFlags) run(c *cobra.Command) error {
	result, err := run.Do(c.Context(), &f.Options, c.ErrOrStderr())
	if err != nil {
		return fmt.Errorf("run: %w", err)
	}
	if err := errors.Join(result.Print(c.OutOrStdout()), result.WriteFiles(f.files)); err != nil {
		return err
	}
	switch {
	case result.Interrupted:
		return exitInterrupted
	case result.Failed():
		return exitFailed
	}
	return nil
}
