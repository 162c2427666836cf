package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"mcplb/cmd/mcpload/proc"
)

// balancer is one that this program can start.
type balancer struct {
	name    string
	text    string   // its configuration; TO, ECHO and DIR stand for addresses and the directory of the certificate
	file    string   // its name
	command []string // likewise
	version []string // prints its version
}

// balancers are those that are compared, each relaying TLS on TO to ECHO with one loop.
var balancers = []balancer{
	{name: "mcplb", file: "lb.toml", command: []string{"DIR/mcplb", "-c", "DIR/lb.toml"}, version: []string{"DIR/mcplb", "version"}, text: `[global]
threads = 1
[ratelimit]
connection_rate = 0
[frontend.tls]
listen = "TO"
mode = "tcp"
backend = "echo"
timeout_client = "1h"
tls = { certificates = [{ cert = "DIR/cert.pem", key = "DIR/key.pem" }], min_version = "1.3" }
[backend.echo]
balance = "leastconn"
timeout_server = "1h"
[[backend.echo.server]]
name = "s"
tcp = "ECHO"
`},
	{name: "HAProxy", file: "haproxy.cfg", command: []string{"haproxy", "-db", "-f", "DIR/haproxy.cfg"}, version: []string{"haproxy", "-v"}, text: `global
  nbthread 1
  maxconn 9000
defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
listen tls
  bind TO ssl crt DIR/both.pem ssl-min-ver TLSv1.3
  server s ECHO
`},
	{name: "nginx", file: "nginx.conf", command: []string{"nginx", "-c", "DIR/nginx.conf", "-p", "DIR", "-e", "stderr"}, version: []string{"nginx", "-v"}, text: `load_module /usr/lib/nginx/modules/ngx_stream_module.so;
daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid DIR/nginx.pid;
events { worker_connections 19000; }
stream {
  server {
    listen TO ssl;
    ssl_certificate DIR/cert.pem;
    ssl_certificate_key DIR/key.pem;
    ssl_protocols TLSv1.3;
    proxy_timeout 1h;
    proxy_pass ECHO;
  }
}
`},
}

// placed replaces what stands for addresses and the directory.
func (o *options) placed(text, directory string) string {
	return strings.NewReplacer("TO", o.to, "ECHO", o.echo, "DIR", directory).Replace(text)
}

// prepare makes a certificate, and builds mcplb.
func prepare(directory string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "tlscost"}, DNSNames: []string{"tlscost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(0, 2, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	private := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
	for name, content := range map[string][]byte{"cert.pem": cert, "key.pem": private, "both.pem": append(cert, private...)} {
		if err := os.WriteFile(filepath.Join(directory, name), content, 0o600); err != nil {
			return err
		}
	}
	if output, err := exec.Command("go", "build", "-o", directory+"/mcplb", "mcplb/cmd/mcplb").CombinedOutput(); err != nil {
		return fmt.Errorf("building mcplb: %w\n%s", err, output)
	}
	return nil
}

// start starts a balancer. It reports false if it is not installed.
func (o *options) start(b *balancer, directory string) (p *proc.Process, installed bool, err error) {
	command := make([]string, len(b.command))
	for i, word := range b.command {
		command[i] = o.placed(word, directory)
	}
	if _, err := exec.LookPath(command[0]); err != nil {
		return nil, false, nil
	}
	if err := os.WriteFile(filepath.Join(directory, b.file), []byte(o.placed(b.text, directory)), 0o600); err != nil {
		return nil, true, err
	}
	p, err = proc.Start(command)
	return p, true, err
}

// versionOf is the number in what a program says of itself.
func (o *options) versionOf(b *balancer, directory string) string {
	output, err := exec.Command(o.placed(b.version[0], directory), b.version[1:]...).CombinedOutput()
	if err != nil {
		return ""
	}
	for word := range strings.FieldsFuncSeq(string(output), func(r rune) bool { return r == ' ' || r == '/' || r == '\n' }) {
		if word[0] >= '0' && word[0] <= '9' {
			return word
		}
	}
	return ""
}
