package main

import (
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"mcplb/conf"
	"mcplb/proxy/admin"
)

const serverArgs = "BACKEND/SERVER..."

// changeCommands are those that change something.
var changeCommands = []command{
	{name: "drain", args: serverArgs, short: "send no new clients to servers", run: setAdmin(admin.AdminDrain), flags: reasonFlag,
		long: "Whom a server has, it keeps, and sessions and cookies still lead to it. It holds until ready, through reloads."},
	{name: "maint", args: serverArgs, short: "take servers out of service at once", run: setAdmin(admin.AdminMaint), flags: reasonFlag,
		long: "Nobody is sent there, sessions and cookies included, and its connections end unless on_down = \"keep\".\nTo spare clients, drain first and wait until its connections have gone."},
	{name: "ready", args: serverArgs, short: "take servers into service again", run: setAdmin(admin.AdminReady), flags: reasonFlag},
	{name: "weight", args: "BACKEND/SERVER N|N%", short: "set a server's weight, 0 to 1000; 0 = no new clients", run: setWeight,
		long: "N% is of its present weight. It holds until a reload that changes the weight in the file."},
	{name: "maxconn", args: "BACKEND/SERVER N", short: "set a server's limit on connections; 0 = none", run: setMaxConn,
		long: "Lowered below what it has, it takes nobody new until enough have gone.\nIt holds until a reload that changes maxconn in the file."},
	{name: "kill", args: "[BACKEND/SERVER] [ID...]", short: "end clients' connections", run: killConnections, flags: func(f *flag.FlagSet, o *operator) {
		f.StringVar(&o.client, "client", "", "those of a client's `ADDRESS`")
	}, long: "All of a server, all of a client (-client), or single ones by the ID that mcplb connections shows. Clients see RST."},
	{name: "ban", args: "ADDRESS...", short: "refuse new connections of sources", run: ban, flags: func(f *flag.FlagSet, o *operator) {
		f.DurationVar(&o.lasting, "for", 5*time.Minute, "for how long; 0 = until unban")
	}, long: "Connections that they have stay: mcplb kill -client ADDRESS ends them. Of an IPv6 address its /64 is banned."},
	{name: "unban", args: "ADDRESS...", short: "lift bans", run: unban},
	{name: "clear", args: "", short: "have peaks (and with -all counters) begin anew", run: clearCounters, flags: func(f *flag.FlagSet, o *operator) {
		f.BoolVar(&o.all, "all", false, "counters too; /metrics is left alone")
	}},
	{name: "reload", args: "", short: "have the balancer read its configuration again, as SIGHUP does", run: reloadNow},
}

func reasonFlag(f *flag.FlagSet, o *operator) {
	f.StringVar(&o.reason, "reason", "", "why, for whoever looks next")
}

var checkCommand = command{
	name: "check", args: "", short: "check a configuration file", local: true, run: checkFile,
	long: "Exit status: 0 when it is good, 2 with every mistake as FILE:LINE: KEY: reason.",
	flags: func(f *flag.FlagSet, o *operator) {
		f.StringVar(&o.config, "c", os.Getenv("MCPLB_CONFIG"), "the configuration `FILE` (MCPLB_CONFIG)")
	},
}

// checkFile is what -t does.
func checkFile(o *operator, args []string) error {
	if len(args) == 1 {
		o.config, args = args[0], nil
	}
	if o.config == "" || len(args) > 0 {
		return fmt.Errorf("%w: name the file with -c", errMisused)
	}
	if _, err := conf.Load(o.config); err != nil {
		fmt.Fprintln(o.stderr, complaint(err))
		return exitStatus(exitUsage)
	}
	fmt.Fprintf(o.stdout, "%s: configuration is valid\n", o.config)
	return nil
}

// findServer takes BACKEND/SERVER apart. A server's name alone will do where
// only one backend has it.
func (o *operator) findServer(name string) (backend, server string, err error) {
	backend, server, both := strings.Cut(name, "/")
	if both {
		return backend, server, nil
	}
	backend, err = o.backendOf(name)
	return backend, name, err
}

// backendOf finds the one backend with a server of that name.
func (o *operator) backendOf(name string) (string, error) {
	status, err := o.api.status()
	if err != nil {
		return "", err
	}
	var found, all []string
	for _, b := range status.Backends {
		for _, s := range b.Servers {
			all = append(all, b.Name+"/"+s.Name)
			if s.Name == name {
				found = append(found, b.Name)
			}
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return "", fmt.Errorf("there is no server %q; there is %s", name, strings.Join(all, ", "))
	}
	return "", fmt.Errorf("several backends have a server %s: write %s/%s", name, found[0], name)
}

// change changes one server and tells what became different.
func (o *operator) change(name string, change admin.ServerChange) error {
	backend, server, err := o.findServer(name)
	if err != nil {
		return err
	}
	path := "/api/v1/backends/" + url.PathEscape(backend) + "/servers/" + url.PathEscape(server)
	change.Reason = o.reason
	var done admin.Changed
	if err := o.api.do(http.MethodPatch, path, change, &done); err != nil {
		return err
	}
	o.tell(&done)
	return nil
}

func (o *operator) tell(done *admin.Changed) {
	for _, c := range done.Changes {
		fmt.Fprintf(o.stdout, "%s: %s %s -> %s\n", done.Target, c.What, c.Old, c.New)
	}
	if len(done.Changes) == 0 {
		fmt.Fprintf(o.stdout, "%s: nothing to change, it is so already\n", done.Target)
	}
}

func setAdmin(state admin.AdminState) func(*operator, []string) error {
	return func(o *operator, args []string) error {
		if err := need(args, 1, -1); err != nil {
			return err
		}
		for _, name := range args {
			if err := o.change(name, admin.ServerChange{Admin: &state}); err != nil {
				return err
			}
		}
		return nil
	}
}

func setWeight(o *operator, args []string) error {
	if err := need(args, 2, 2); err != nil {
		return err
	}
	number, relative := strings.CutSuffix(args[1], "%")
	n, err := strconv.Atoi(number)
	if err != nil {
		return fmt.Errorf("%w: a weight is a number, or one with %%, not %q", errMisused, args[1])
	}
	if relative {
		if n, err = o.partOfWeight(args[0], n); err != nil {
			return err
		}
	}
	return o.change(args[0], admin.ServerChange{Weight: &n})
}

// partOfWeight is so many percent of a server's present weight.
func (o *operator) partOfWeight(name string, percent int) (int, error) {
	status, err := o.api.status()
	if err != nil {
		return 0, err
	}
	for _, b := range status.Backends {
		for _, s := range b.Servers {
			if name == s.Name || name == b.Name+"/"+s.Name {
				return s.Weight * percent / 100, nil
			}
		}
	}
	return 0, fmt.Errorf("there is no server %q", name)
}

func setMaxConn(o *operator, args []string) error {
	if err := need(args, 2, 2); err != nil {
		return err
	}
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return fmt.Errorf("%w: maxconn is a number, not %q", errMisused, args[1])
	}
	return o.change(args[0], admin.ServerChange{MaxConn: &n})
}

func killConnections(o *operator, args []string) error {
	var ids []string
	query := url.Values{}
	for _, arg := range args {
		if backend, server, isServer := strings.Cut(arg, "/"); isServer {
			query.Set("backend", backend)
			query.Set("server", server)
		} else {
			ids = append(ids, arg)
		}
	}
	if o.client != "" {
		query.Set("client", o.client)
	}
	if len(ids) == 0 && len(query) == 0 || len(ids) > 0 && len(query) > 0 {
		return fmt.Errorf("%w: name a server, a client, or connections by their IDs", errMisused)
	}
	ended := 0
	for _, path := range killPaths(ids, query) {
		var killed admin.Killed
		if err := o.api.do(http.MethodDelete, path, nil, &killed); err != nil {
			return err
		}
		ended += killed.Ended
	}
	fmt.Fprintf(o.stdout, "%d connections ended\n", ended)
	return nil
}

func killPaths(ids []string, query url.Values) (paths []string) {
	for _, id := range ids {
		paths = append(paths, "/api/v1/connections/"+url.PathEscape(id))
	}
	if len(query) > 0 {
		paths = append(paths, "/api/v1/connections?"+query.Encode())
	}
	return paths
}

func ban(o *operator, args []string) error {
	if err := need(args, 1, -1); err != nil {
		return err
	}
	for _, source := range args {
		var done admin.Ban
		if err := o.api.do(http.MethodPost, "/api/v1/bans", admin.BanRequest{Source: source, Seconds: o.lasting.Seconds()}, &done); err != nil {
			return err
		}
		fmt.Fprintf(o.stdout, "%s: banned %s\n", done.Source, lasting(done.RemainingSeconds))
	}
	return nil
}

func lasting(seconds float64) string {
	if seconds == 0 {
		return "until it is lifted"
	}
	return "for " + time.Duration(seconds*float64(time.Second)).Round(time.Second).String()
}

func unban(o *operator, args []string) error {
	if err := need(args, 1, -1); err != nil {
		return err
	}
	for _, source := range args {
		var done admin.Changed
		if err := o.api.do(http.MethodDelete, "/api/v1/bans/"+source, nil, &done); err != nil {
			return err
		}
		fmt.Fprintf(o.stdout, "%s: no longer banned\n", source)
	}
	return nil
}

func clearCounters(o *operator, args []string) error {
	if err := need(args, 0, 0); err != nil {
		return err
	}
	var done admin.Changed
	if err := o.api.do(http.MethodPost, "/api/v1/counters/clear", admin.ClearRequest{All: o.all}, &done); err != nil {
		return err
	}
	for _, c := range done.Changes {
		fmt.Fprintf(o.stdout, "%s: %s\n", c.What, c.New)
	}
	return nil
}

func reloadNow(o *operator, args []string) error {
	if err := need(args, 0, 0); err != nil {
		return err
	}
	var done admin.Reloaded
	if err := o.api.do(http.MethodPost, "/api/v1/reload", struct{}{}, &done); err != nil {
		return err
	}
	fmt.Fprintf(o.stdout, "reloaded: %s\n", done.Changes)
	return nil
}
