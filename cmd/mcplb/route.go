package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"text/tabwriter"

	"mcplb/cmd/internal/cli"
	"mcplb/conf"
	"mcplb/proxy"
	"mcplb/proxy/admin"

	"github.com/spf13/cobra"
)

// routeCommand is the command "route".
func (o *operator) routeCommand() *cobra.Command {
	var asked admin.RouteRequest
	c := &cobra.Command{
		Use: "route [flags] METHOD URL", Short: "Tell which route a request takes, and why", Args: cli.Args(2, 2),
		Long: `Tell which route a request takes, and why, and which others it almost takes. Nothing
is sent to any server. With -c FILE the file is asked, and no balancer needs to run;
otherwise, or with -admin, the running balancer is.

The URL names the host, and the frontend by its port where -frontend does not. A path
alone will do: its Host is that of -H, or localhost.

Exit status: 0 if the request is forwarded, answered or redirected, 1 if it is denied
or refused.`,
		Example: `  mcplb route -c lb.toml GET https://mcp.example.com/mcp
  mcplb route POST /mcp -source 192.0.2.7 -H 'X-Tenant: a' -d '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo"}}'`,
	}
	flags := c.Flags()
	flags.StringArrayVarP(&asked.Headers, "header", "H", nil, "a `HEADER` of the request, \"Name: value\"; several times for several")
	flags.StringVarP(&asked.Body, "data", "d", "", "the `BODY` of the request, which routes by MCP method or name depend on; @FILE reads it from a file")
	flags.StringVar(&asked.Source, "source", "", "the client's `ADDRESS` (default 127.0.0.1)")
	flags.StringVar(&asked.Frontend, "frontend", "", "the `NAME` of the frontend")
	o.connectionFlags(flags)
	c.RunE = func(_ *cobra.Command, args []string) (err error) {
		asked.Method, asked.URL = args[0], args[1]
		if file, isFile := strings.CutPrefix(asked.Body, "@"); isFile {
			text, err := os.ReadFile(file)
			if err != nil {
				return cli.Misuse("cannot read the body: %v", err)
			}
			asked.Body = string(text)
		}
		return o.route(asked, flags.Changed("config") && !flags.Changed("admin"))
	}
	return c
}

// route asks the file or the running balancer, and prints the answer.
func (o *operator) route(asked admin.RouteRequest, offline bool) error {
	answer, err := o.askRoute(asked, offline)
	if err != nil {
		return err
	}
	if err := printRoute(o.stdout, &answer); err != nil {
		return err
	}
	if answer.Outcome == "denied" || answer.Outcome == "refused" {
		return cli.Status(exitError)
	}
	return nil
}

func (o *operator) askRoute(asked admin.RouteRequest, offline bool) (answer admin.RouteAnswer, err error) {
	if offline {
		var config *conf.Config
		if config, err = loadConfig(o.config, o.stderr); err != nil {
			return answer, err
		}
		return proxy.ExplainRoute(config, asked)
	}
	if o.api, err = o.connect(); err != nil {
		return answer, misconfigured{err}
	}
	return answer, o.api.do(http.MethodPost, "/api/v1/route", asked, &answer)
}

// printRoute prints an answer, one line for each thing that it says.
func printRoute(to io.Writer, a *admin.RouteAnswer) error {
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	outcome := a.Outcome
	if a.Status != 0 {
		outcome = fmt.Sprintf("%s (%d)", outcome, a.Status)
	}
	if a.Backend != "" {
		outcome = fmt.Sprintf("%s to backend %s, endpoint %s", outcome, a.Backend, a.Endpoint)
	}
	fmt.Fprintf(table, "outcome\t%s\nfrontend\t%s\nroute\t%s\nwhy\t%s\n", outcome, a.Frontend, a.Route, a.Why)
	if a.Message != "" {
		fmt.Fprintf(table, "message\t%s\n", a.Message)
	}
	for _, near := range a.Nearly {
		fmt.Fprintf(table, "not taken\t%s: %s\n", near.Route, near.Why)
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("print the route: %w", err)
	}
	return nil
}
