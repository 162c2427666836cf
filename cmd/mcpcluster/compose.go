package main

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"mcplb/cmd/internal/cli"
	"mcplb/conf"

	"github.com/spf13/cobra"
)

// The network of the containers: the balancer has .10 and the nodes .11 on.
const (
	composeNetwork   = "172.25.0.0/24"
	composeFirstHost = 10
	composeMost      = 200 // nodes
)

func composeCommand(in invocation) *cobra.Command {
	var config, bin, out string
	c := &cobra.Command{
		Use: "compose [flags] -o DIRECTORY", Short: "Write a docker-compose.yml and a Dockerfile for the same cluster",
		Long: `Write what "docker compose up --build" needs to run the cluster in containers:
docker-compose.yml, a Dockerfile from scratch, the binaries (built with
CGO_ENABLED=0), and the configuration with the containers' addresses: 172.25.0.10
is the balancer's, 172.25.0.11 the first node's. The containers run without rights
and with read-only root file systems; "mcplb status -alive" is the health check.`,
		Example: "  mcpcluster compose -o containers && docker compose -f containers/docker-compose.yml up --build",
		RunE: func(*cobra.Command, []string) error {
			if out == "" {
				return cli.Misuse("name the directory to write to with -o")
			}
			if err := compose(config, bin, out); err != nil {
				return err
			}
			_, err := fmt.Fprintf(in.stdout, "docker compose -f %s up --build\n", filepath.Join(out, "docker-compose.yml"))
			return err
		},
	}
	configFlag(c, &config)
	binFlag(c, &bin)
	c.Flags().StringVarP(&out, "output", "o", "", "the `DIRECTORY` to write to; it must be empty or not exist yet")
	return c
}

// compose writes the directory.
func compose(path, bin, out string) error {
	if path == "" {
		demo, remove, err := writeDemo("", 1)
		if err != nil {
			return err
		}
		defer remove()
		path = demo
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read the configuration: %w", err)
	}
	config, err := conf.Load(path)
	if err != nil {
		return fmt.Errorf("the configuration is not usable:\n%w", err)
	}
	members := plan(config, "/"+demoName)
	if len(members) > composeMost {
		return fmt.Errorf("%d members are too many for the network %s", len(members), composeNetwork)
	}
	if err := locate(members, bin); err != nil {
		return err
	}
	containers, replaced := contain(members, string(text))
	files, replaced, err := copyCertificates(config, replaced)
	if err != nil {
		return err
	}
	files["docker-compose.yml"] = composeFile(containers)
	files["Dockerfile"] = dockerfile
	if config.Admin.Listen != "" {
		files["Dockerfile"] += dockerHealth
	}
	files[composeConfig+demoName] = replaced
	return writeBuildDirectory(out, files, members)
}

// composeConfig is the directory that becomes the root of the balancer's image: the
// configuration and the certificates that it names.
const composeConfig = "config/"

// copyCertificates returns copies of the certificates and keys that a configuration
// names, and its text with their names in the container.
func copyCertificates(config *conf.Config, text string) (files map[string]string, replaced string, err error) {
	files = map[string]string{}
	for _, f := range config.Frontends {
		if f.TLS == nil {
			continue
		}
		for i, certificate := range f.TLS.Certificates {
			for suffix, path := range map[string]string{".pem": certificate.Cert, ".key": certificate.Key} {
				content, err := os.ReadFile(path)
				if err != nil {
					return nil, "", fmt.Errorf("copy a certificate: %w", err)
				}
				name := fmt.Sprintf("%s-%d%s", f.Name, i+1, suffix)
				files[composeConfig+name] = string(content)
				text = strings.ReplaceAll(text, strconv.Quote(path), strconv.Quote("/"+name))
			}
		}
	}
	return files, text, nil
}

// container is a member with the address of its container.
type container struct {
	member member
	ip     string
	args   []string
	ports  []string // to publish, in the syntax of docker-compose
}

// contain assigns each member an address and rewrites the configuration
// accordingly.
func contain(members []member, text string) ([]container, string) {
	base := netip.MustParsePrefix(composeNetwork).Addr().As4()
	var containers []container
	for i, m := range members {
		host := base
		host[3] = byte(composeFirstHost + 1 + i)
		if m.role == roleBalancer {
			host[3] = composeFirstHost
		}
		c := container{member: m, ip: netip.AddrFrom4(host).String(), args: append([]string(nil), m.args...)}
		for _, e := range m.addresses {
			inside, published := c.translate(e.address)
			text = strings.ReplaceAll(text, `"`+e.address+`"`, `"`+inside+`"`)
			for j, arg := range c.args {
				if arg == e.address {
					c.args[j] = inside
				}
			}
			if m.role == roleBalancer {
				c.ports = append(c.ports, published)
			}
		}
		containers = append(containers, c)
	}
	return containers, text
}

// translate translates an address on which a member listens to the one in its container,
// and to the port to publish. Nodes are reached by their containers' addresses, the
// balancer also from outside.
func (c *container) translate(address string) (inside, published string) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address, "" // the configuration was checked: it has a port
	}
	if c.member.role == roleNode {
		return net.JoinHostPort(c.ip, port), ""
	}
	published = port + ":" + port
	if ip, err := netip.ParseAddr(host); err == nil && ip.IsLoopback() {
		published = "127.0.0.1:" + published // it stays reachable from this machine only
	}
	return ":" + port, published
}

// dockerfile builds images that contain only the static binaries, which run without
// rights. The keys of the configuration belong to the balancer's user.
const dockerfile = `FROM scratch AS mcpnode
COPY mcpnode /mcpnode
USER 65532:65532
ENTRYPOINT ["/mcpnode"]

FROM scratch AS mcplb
COPY mcplb /mcplb
COPY --chown=65532:65532 config/ /
USER 65532:65532
ENTRYPOINT ["/mcplb"]
`

// dockerHealth is the end of the dockerfile for a balancer with an admin address: its
// own binary asks it.
const dockerHealth = `HEALTHCHECK --interval=10s --timeout=5s --start-period=10s CMD ["/mcplb", "status", "-alive", "-c", "/` + demoName + `"]
`

// composeFile is the docker-compose.yml: it starts the balancer after the nodes, takes
// away what containers may do by default and raises the limits for their connections.
func composeFile(containers []container) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Written by mcpcluster compose.\nservices:\n")
	var nodes []string
	for _, c := range containers {
		fmt.Fprintf(&b, "  %s:\n    build:\n      context: .\n      target: %s\n", c.member.name, c.member.binary)
		fmt.Fprintf(&b, "    command: [%s]\n", quoted(c.args))
		fmt.Fprintf(&b, "    read_only: true\n    cap_drop: [ALL]\n    security_opt: [\"no-new-privileges:true\"]\n")
		fmt.Fprintf(&b, "    ulimits:\n      nofile: 250000\n    restart: unless-stopped\n    stop_grace_period: 30s\n")
		if len(c.ports) > 0 {
			fmt.Fprintf(&b, "    sysctls:\n      net.core.somaxconn: 65535\n      net.ipv4.ip_local_port_range: 1024 65535\n")
			fmt.Fprintf(&b, "    ports: [%s]\n", quoted(c.ports))
		}
		if c.member.role == roleBalancer && len(nodes) > 0 {
			fmt.Fprintf(&b, "    depends_on: [%s]\n", strings.Join(nodes, ", "))
		}
		fmt.Fprintf(&b, "    networks:\n      cluster:\n        ipv4_address: %s\n", c.ip)
		nodes = append(nodes, c.member.name)
	}
	fmt.Fprintf(&b, "networks:\n  cluster:\n    ipam:\n      config:\n        - subnet: %s\n", composeNetwork)
	return b.String()
}

// quoted formats a list for YAML, without the brackets.
func quoted(list []string) string {
	var parts []string
	for _, item := range list {
		parts = append(parts, fmt.Sprintf("%q", item))
	}
	return strings.Join(parts, ", ")
}

// writeBuildDirectory writes the files and copies the binaries into a new
// directory.
func writeBuildDirectory(out string, files map[string]string, members []member) error {
	if err := os.MkdirAll(out, 0o755); err != nil {
		return fmt.Errorf("make the directory: %w", err)
	}
	if entries, err := os.ReadDir(out); err != nil || len(entries) > 0 {
		return fmt.Errorf("%s is not empty: name one that does not exist yet (-o)", out)
	}
	for _, m := range members {
		binary, err := os.ReadFile(m.path)
		if err == nil {
			err = os.WriteFile(filepath.Join(out, m.binary), binary, 0o755)
		}
		if err != nil {
			return fmt.Errorf("copy %s: %w", m.binary, err)
		}
	}
	if err := os.Mkdir(filepath.Join(out, composeConfig), 0o755); err != nil {
		return fmt.Errorf("make the directory: %w", err)
	}
	for name, text := range files {
		mode := os.FileMode(0o644)
		if strings.HasSuffix(name, ".key") {
			mode = 0o600
		}
		if err := os.WriteFile(filepath.Join(out, name), []byte(text), mode); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	return nil
}
