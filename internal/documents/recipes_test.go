package documents

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Operators type the openssl commands of docs/tls.md: they make an authority, and
// certificates that crypto/tls accepts for the names that the recipe has.
func TestPrivateAuthority(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("not installed: apt-get install openssl")
	}
	d, err := Read(filepath.Join(root, "docs", "tls.md"))
	if err != nil {
		t.Fatal(err)
	}
	directory := t.TempDir()
	recipes := 0
	for _, b := range d.Blocks {
		if b.Language != "sh" || !strings.HasPrefix(b.Text, "openssl ") {
			continue
		}
		recipes++
		command := exec.Command("sh", "-e", "-c", b.Text)
		command.Dir = directory
		if output, err := command.CombinedOutput(); err != nil {
			t.Errorf("%s:%d: %v\n%s", d.name(), b.Line, err, output)
		}
	}
	if recipes == 0 {
		t.Fatal("docs/tls.md has no block in sh that begins with openssl")
	}
	authority, err := os.ReadFile(filepath.Join(directory, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		t.Fatal("ca.pem has no certificate")
	}
	for _, host := range []string{"node1.internal", "node2.internal"} {
		path := filepath.Join(directory, host)
		pair, err := tls.LoadX509KeyPair(path+".pem", path+".key")
		if err != nil {
			t.Fatal(err)
		}
		greet(t, pair, &tls.Config{RootCAs: roots, ServerName: host})
	}
	output, err := check(t, directory, complete("[backend.nodes.tls]\nca = \""+filepath.Join(directory, "ca.pem")+"\"\n"))
	if err != nil || strings.Contains(string(output), "warning") {
		t.Errorf("mcplb -t: %v\n%s", err, output)
	}
}

// greet completes a handshake with a server that has a certificate.
func greet(t *testing.T, pair tls.Certificate, c *tls.Config) {
	t.Helper()
	near, far := net.Pipe()
	defer near.Close()
	go func() {
		defer far.Close()
		_ = tls.Server(far, &tls.Config{Certificates: []tls.Certificate{pair}}).Handshake() // the client says what is wrong
	}()
	if err := tls.Client(near, c).Handshake(); err != nil {
		t.Errorf("%s: %v", c.ServerName, err)
	}
}
