package main

import (
	"bytes"
	"cmp"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/template"

	"mcplb/cmd/internal/cli"
	"mcplb/conf"

	"github.com/spf13/cobra"
)

// firstConfig is what "init" knows of the configuration that it writes.
type firstConfig struct {
	TCP, HTTP, HTTPS  string // where clients connect; "" = not
	Cert, Key         string // of HTTPS
	TCPPort, HTTPPort string // of the servers that are given without a port
	Servers           []firstServer
}

// firstServer is a server of a firstConfig.
type firstServer struct{ Name, TCP, HTTP string }

//go:embed init.toml.tmpl
var firstText string

var firstTemplate = template.Must(template.New("lb.toml").Funcs(template.FuncMap{"quote": strconv.Quote}).Parse(firstText))

// initCommand is the command "init".
func initCommand() *cobra.Command {
	var config firstConfig
	var path string
	var force bool
	c := &cobra.Command{
		Use: "init [flags] [NAME=]SERVER...", Short: "Write a first lb.toml for servers, with comments", Args: cli.Args(1, -1),
		Long: `Init writes a configuration for the servers given to standard output, or to the file of
-o, and asks nothing. A SERVER is an address or a host name, with a port or without;
NAME= in front names it. Clients connect to the address of -tcp (JSON-RPC, a message a
line) or of -http (HTTP, event streams and WebSocket), or of both.

Servers without a port have the ports of -server-tcp and -server-http, or else those
where clients connect: so mcplb can take the servers' place. A port behind a server is
that of the only way in; with both -tcp and -http it would be ambiguous.

A file that exists is left alone, unless -force is given.`,
		Example: "  mcplb init -tcp :8000 -http :8080 10.0.0.11 10.0.0.12 > lb.toml\n" +
			"  mcplb init -o /etc/mcplb/lb.toml -http :80 a=10.0.0.11:8080 b=10.0.0.12:8080\n  mcplb init -https :443 -cert lb.pem -key lb.key -server-http 8080 mcp-1.internal mcp-2.internal",
	}
	flags := c.Flags()
	flags.StringVar(&config.TCP, "tcp", "", "the `ADDRESS` for clients that speak JSON-RPC over TCP, such as :8000")
	flags.StringVar(&config.HTTP, "http", "", "the `ADDRESS` for clients of HTTP, such as :8080")
	flags.StringVar(&config.HTTPS, "https", "", "the `ADDRESS` for clients of HTTPS, such as :8443; needs -cert and -key")
	flags.StringVar(&config.Cert, "cert", "", "the PEM `FILE` of the certificate for -https")
	flags.StringVar(&config.Key, "key", "", "the PEM `FILE` of its key")
	flags.StringVar(&config.TCPPort, "server-tcp", "", "the servers' `PORT` for JSON-RPC over TCP (default: that of -tcp)")
	flags.StringVar(&config.HTTPPort, "server-http", "", "the servers' `PORT` for HTTP (default: that of -http or -https)")
	flags.StringVarP(&path, "output", "o", "-", "write to this `FILE`; - is standard output")
	flags.BoolVar(&force, "force", false, "overwrite the FILE of -o")
	c.RunE = func(c *cobra.Command, args []string) error {
		text, err := config.write(args, path)
		if err != nil {
			return err
		}
		if path == "-" {
			_, err = c.OutOrStdout().Write(text)
			return err
		}
		return createFile(path, text, force, c.OutOrStdout())
	}
	return c
}

// write returns the configuration for the servers, which is valid as the file at path.
func (f *firstConfig) write(servers []string, path string) ([]byte, error) {
	if err := f.ways(); err != nil {
		return nil, err
	}
	for _, s := range servers {
		server, err := f.server(s)
		if err != nil {
			return nil, err
		}
		f.Servers = append(f.Servers, server)
	}
	f.nameServers()
	if err := f.distinct(localAddresses()); err != nil {
		return nil, err
	}
	var text bytes.Buffer
	if err := firstTemplate.Execute(&text, f); err != nil {
		return nil, err
	}
	if path == "-" {
		path = "lb.toml" // relative paths in it are meant from here
	}
	var mistakes conf.Errors
	if _, err := conf.Parse(path, text.Bytes()); errors.As(err, &mistakes) {
		wrong := make([]string, len(mistakes))
		for i, m := range mistakes {
			wrong[i] = m.Key + ": " + m.Reason
		}
		return nil, cli.Misuse("%s", strings.Join(wrong, "\n"))
	} else if err != nil {
		return nil, err
	}
	return text.Bytes(), nil
}

// ways checks where clients connect, and finds out the servers' ports.
func (f *firstConfig) ways() error {
	switch {
	case f.TCP == "" && f.HTTP == "" && f.HTTPS == "":
		return cli.Misuse("name where clients connect: -tcp :8000, -http :8080, or both")
	case f.HTTPS != "" && (f.Cert == "" || f.Key == ""):
		return cli.Misuse("-https needs the certificate (-cert FILE) and its key (-key FILE)")
	case f.HTTPS == "" && f.Cert+f.Key != "":
		return cli.Misuse("-cert and -key are for -https, which is missing")
	case f.TCPPort != "" && f.TCP == "":
		return cli.Misuse("-server-tcp is for -tcp, which is missing")
	case f.HTTPPort != "" && !f.web():
		return cli.Misuse("-server-http is for -http and -https, which are missing")
	}
	for _, way := range []struct{ flag, address string }{{"-tcp", f.TCP}, {"-http", f.HTTP}, {"-https", f.HTTPS}} {
		if _, port, err := net.SplitHostPort(way.address); way.address != "" && (err != nil || port == "") {
			return cli.Misuse("%s needs an address with a port, such as :8000, not %q", way.flag, way.address)
		}
	}
	for _, port := range []string{f.TCPPort, f.HTTPPort} {
		if n, err := strconv.ParseUint(port, 10, 16); port != "" && (err != nil || n == 0) {
			return cli.Misuse("a port is a number from 1 to 65535, not %q", port)
		}
	}
	return nil
}

// web reports whether clients of HTTP are served.
func (f *firstConfig) web() bool { return f.HTTP != "" || f.HTTPS != "" }

// server reads one server of the command line. Its name is "" if none is given.
func (f *firstConfig) server(s string) (firstServer, error) {
	name, address, isNamed := strings.Cut(s, "=")
	if !isNamed {
		name, address = "", s
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil || isIPv6(address) {
		host, port = strings.TrimSuffix(strings.TrimPrefix(address, "["), "]"), ""
	}
	server := firstServer{Name: name}
	switch {
	case strings.Contains(address, ","):
		return server, cli.Misuse("%s: write blanks between servers, not commas", s)
	case isNamed && name == "":
		return server, cli.Misuse("%s has no name in front of the =", s)
	case host == "" || strings.Contains(address, "/"):
		return server, cli.Misuse("a server is an address or a host name, such as 10.0.0.11 or a=mcp.internal:9000, not %q", s)
	case port != "" && f.TCP != "" && f.web():
		return server, cli.Misuse("%s has one port, and -tcp and -http need one each: write %s, and the ports with -server-tcp and -server-http", s, host)
	case f.TCP != "":
		server.TCP = net.JoinHostPort(host, cmp.Or(port, f.TCPPort, portOfAddress(f.TCP)))
	}
	if f.web() {
		server.HTTP = net.JoinHostPort(host, cmp.Or(port, f.HTTPPort, portOfAddress(f.HTTP), portOfAddress(f.HTTPS)))
	}
	return server, nil
}

// nameServers names the servers without a name by their places, or by the next number
// whose name no server has.
func (f *firstConfig) nameServers() {
	taken := map[string]bool{}
	for _, s := range f.Servers {
		taken[s.Name] = true
	}
	for i := range f.Servers {
		s := &f.Servers[i]
		for number := i + 1; s.Name == ""; number++ {
			if name := fmt.Sprintf("node%d", number); !taken[name] {
				s.Name, taken[name] = name, true
			}
		}
	}
}

// distinct refuses servers that are the same, and those that are mcplb itself: it would
// send its clients to itself, and find itself healthy. local are this machine's addresses.
func (f *firstConfig) distinct(local []netip.Addr) error {
	seen := map[string]string{}
	for _, s := range f.Servers {
		for _, address := range []string{s.TCP, s.HTTP} {
			if address == "" {
				continue
			}
			if other, twice := seen[strings.ToLower(address)]; twice && other != s.Name {
				return cli.Misuse("%s and %s are both %s: give each server once, or, if they differ in the port, with it", other, s.Name, address)
			}
			seen[strings.ToLower(address)] = s.Name
			for flag, listen := range map[string]string{"-tcp": f.TCP, "-http": f.HTTP, "-https": f.HTTPS} {
				if isSame(address, listen, local) {
					return cli.Misuse("%s is where mcplb itself would listen (%s %s): give the servers' ports, by -server-tcp and -server-http or behind their addresses, or another one to %s", address, flag, listen, flag)
				}
			}
		}
	}
	return nil
}

// isSame reports whether a server's address leads to a listener of this machine.
func isSame(server, listen string, local []netip.Addr) bool {
	host, port, _ := net.SplitHostPort(server)
	where, listenPort, _ := net.SplitHostPort(listen)
	if listen == "" || port != listenPort {
		return false
	}
	if host == "localhost" {
		host = "127.0.0.1"
	}
	to, err := netip.ParseAddr(host)
	if err != nil || where == host {
		return err == nil
	}
	at, err := netip.ParseAddr(where)
	everywhere := where == "" || err == nil && at.IsUnspecified()
	return everywhere && (to.IsLoopback() || slices.Contains(local, to))
}

// localAddresses are the addresses of this machine, none if it does not say.
func localAddresses() (all []netip.Addr) {
	found, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	for _, a := range found {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil {
			all = append(all, prefix.Addr())
		}
	}
	return all
}

// isIPv6 reports whether s is an IPv6 address without a port.
func isIPv6(s string) bool {
	a, err := netip.ParseAddr(s)
	return err == nil && a.Is6()
}

func portOfAddress(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}

// createFile writes a file that does not exist yet; force overwrites one that does.
func createFile(path string, text []byte, force bool, stdout io.Writer) error {
	how := os.O_EXCL
	if force {
		how = os.O_TRUNC
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|how, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists and is left as it is: choose another file, or add -force to overwrite it", path)
	}
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "%s is written; next: mcplb -t -c %s, mcplb doctor -c %s, mcplb -c %s\n", path, path, path, path)
	return err
}
