package documents

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// recipe is what the blocks of docs/tls.md make in a directory.
type recipe struct {
	*testing.T
	directory string
	document  *Document
}

func newRecipe(t *testing.T) *recipe {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("not installed: apt-get install openssl")
	}
	d, err := Read(filepath.Join(root, "docs", "tls.md"))
	if err != nil {
		t.Fatal(err)
	}
	return &recipe{t, t.TempDir(), d}
}

// block is the block in a language that has this text.
func (r *recipe) block(language, text string) string {
	r.Helper()
	for _, b := range r.document.Blocks {
		if b.Language == language && strings.Contains(b.Text, text) {
			return b.Text
		}
	}
	r.Fatalf("docs/tls.md has no block in %s with %q", language, text)
	return ""
}

// run runs commands as an operator does.
func (r *recipe) run(commands string) {
	r.Helper()
	command := exec.Command("sh", "-e", "-c", commands)
	command.Dir = r.directory
	if output, err := command.CombinedOutput(); err != nil {
		r.Fatalf("%v\n%s\n%s", err, commands, output)
	}
}

func (r *recipe) read(name string) []byte {
	r.Helper()
	content, err := os.ReadFile(filepath.Join(r.directory, name))
	if err != nil {
		r.Fatal(err)
	}
	return content
}

// certificate is the first one in a file.
func (r *recipe) certificate(name string) *x509.Certificate {
	r.Helper()
	block, _ := pem.Decode(r.read(name))
	if block == nil {
		r.Fatalf("%s is not PEM", name)
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		r.Fatal(err)
	}
	return c
}

func (r *recipe) pair(name string) tls.Certificate {
	r.Helper()
	c, err := tls.LoadX509KeyPair(filepath.Join(r.directory, name+".pem"), filepath.Join(r.directory, name+".key"))
	if err != nil {
		r.Fatal(err)
	}
	return c
}

func (r *recipe) pool(name string) *x509.CertPool {
	r.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(r.certificate(name))
	return pool
}

// placed is a configuration whose files are those of the recipe.
func (r *recipe) placed(text string) string {
	return strings.ReplaceAll(text, `"/etc/mcplb/`, `"`+r.directory+`/`)
}

// servers makes certificates for these hosts, by the recipe of the private authority.
func (r *recipe) servers(usage string, hosts ...string) {
	r.Helper()
	text := r.block("sh", "node1.internal node2.internal")
	if _, err := os.Stat(filepath.Join(r.directory, "ca.pem")); err == nil {
		text = text[strings.Index(text, "for host"):] // the authority is there
	}
	text = strings.Replace(text, "node1.internal node2.internal", strings.Join(hosts, " "), 1)
	r.run(strings.ReplaceAll(text, "serverAuth", usage))
}

// Operators change the keys of tickets by the commands of docs/tls.md: no session is lost
// only if the new key comes second first, and the old ones stay.
func TestTicketKeyRecipe(t *testing.T) {
	t.Parallel()
	r := newRecipe(t)
	steps := strings.SplitAfter(r.block("sh", "ticket.keys"), "\n")
	keys := func() (lines []string) {
		for line := range strings.Lines(string(r.read("ticket.keys"))) {
			lines = append(lines, strings.TrimSpace(line))
		}
		return lines
	}
	configuration := r.placed(complete(`[frontend.f]
listen = "127.0.0.1:1"
mode = "http"
backend = "nodes"
tls = { certificates = [{ cert = "/etc/mcplb/lb.pem", key = "/etc/mcplb/lb.key" }], ticket_keys = "/etc/mcplb/ticket.keys" }
`))
	r.servers("serverAuth", "lb")
	var first, second string
	for i, step := range steps {
		if step == "" {
			continue
		}
		r.run("umask 077\n" + step)
		if _, err := os.Stat(filepath.Join(r.directory, "ticket.keys")); err != nil {
			continue
		}
		got := keys()
		if output, err := check(t, r.directory, configuration); err != nil || strings.Contains(string(output), "ticket") {
			t.Errorf("after step %d: mcplb -t: %v\n%s", i+1, err, output)
		}
		switch {
		case first == "":
			first = got[0]
		case len(got) == 2 && second == "":
			second = got[1]
			if got[0] != first {
				t.Errorf("new tickets have the new key, which not every balancer knows: %q, before %q", got, first)
			}
		}
	}
	if got := keys(); second == "" || !slices.Equal(got, []string{second, first}) {
		t.Errorf("at the end the keys are %q, want the new one %q and then the old one %q", got, second, first)
	}
}

// Operators revoke by the commands of docs/tls.md: the list has the certificate, and
// mcplb takes it.
func TestRevocationRecipe(t *testing.T) {
	t.Parallel()
	r := newRecipe(t)
	r.run(r.block("sh", "clients-ca.key"))
	r.run(r.block("sh", "-gencrl"))
	block, _ := pem.Decode(r.read("clients.crl"))
	if block == nil {
		t.Fatal("clients.crl is not PEM")
	}
	list, err := x509.ParseRevocationList(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if err := list.CheckSignatureFrom(r.certificate("clients-ca.pem")); err != nil {
		t.Error(err)
	}
	alice := r.certificate("alice.pem")
	if got := list.RevokedCertificateEntries; len(got) != 1 || got[0].SerialNumber.Cmp(alice.SerialNumber) != 0 {
		t.Errorf("the list has %v, want the certificate of alice", got)
	}
	r.servers("serverAuth", "lb")
	text := "[frontend.f]\nlisten = '127.0.0.1:1'\nmode = 'http'\nbackend = 'nodes'\n" + r.block("toml", "client_crl")
	if output, err := check(t, r.directory, complete(r.placed(text))); err != nil || strings.Contains(string(output), "client_") {
		t.Errorf("mcplb -t: %v\n%s", err, output)
	}
}

// Operators copy the configuration for mutual TLS both ways: a server that accepts the
// balancer alone hears who the client is, and a client without a certificate reaches
// nothing.
func TestMutualRecipe(t *testing.T) {
	t.Parallel()
	r := newRecipe(t)
	r.run(r.block("sh", "clients-ca.key"))
	r.servers("serverAuth", "lb", "node1")
	r.servers("clientAuth", "lb-client")
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		fmt.Fprint(w, request.TLS.PeerCertificates[0].Subject, " for ", request.Header.Get("X-Client-Subject"))
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{r.pair("node1")}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: r.pool("ca.pem")}
	server.Config.ErrorLog = nil
	server.StartTLS()
	t.Cleanup(server.Close)
	address := r.serve(fmt.Sprintf("%s\nserver_name = 'node1'\n[[backend.nodes.server]]\nname = 'node1'\nhttp = %q\n",
		r.block("toml", "X-Client-Subject"), server.Listener.Addr()))
	ask := func(shown ...tls.Certificate) (string, error) {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: r.pool("ca.pem"), ServerName: "lb", Certificates: shown}}}
		request, err := http.NewRequest("GET", "https://"+address+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("X-Client-Subject", "CN=mallory")
		response, err := client.Do(request)
		if err != nil {
			return "", err
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		return string(body), err
	}
	const want = "CN=lb-client for CN=alice,O=Example"
	var got string
	for began := time.Now(); got != want && time.Since(began) < documentLimit/2; time.Sleep(50 * time.Millisecond) {
		answer, err := ask(r.pair("alice")) // until the server has been checked
		if got = answer; err != nil {
			got = err.Error()
		}
	}
	if got != want {
		t.Errorf("the server answers %q, want %q", got, want)
	}
	if got, err := ask(); err == nil {
		t.Errorf("a client without a certificate gets %q", got)
	}
}

// serve runs mcplb with a configuration that listens on one address until the test ends.
func (r *recipe) serve(text string) (address string) {
	r.Helper()
	free, err := net.Listen("tcp", "127.61.16.1:0")
	if err != nil {
		r.Fatal(err)
	}
	address = free.Addr().String()
	free.Close()
	path := filepath.Join(r.directory, "serving.toml")
	if err := os.WriteFile(path, []byte(strings.Replace(r.placed(text), `":8443"`, `"`+address+`"`, 1)), 0o600); err != nil {
		r.Fatal(err)
	}
	var log bytes.Buffer
	command := exec.Command(filepath.Join(binaries, "mcplb"), "-c", path)
	command.Stderr = &log
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() {
		_ = command.Process.Kill() // it may have ended
		_ = command.Wait()
		if r.Failed() {
			r.Logf("mcplb says:\n%s", log.String())
		}
	})
	return address
}

// Operators apply what docs/tls.md has for cert-manager.
func TestCertManagerRecipe(t *testing.T) {
	t.Parallel()
	d, err := Read(filepath.Join(root, "docs", "tls.md"))
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, b := range d.Blocks {
		if b.Language != "yaml" {
			continue
		}
		found++
		var got struct { // of cert-manager.io/v1, Certificate
			APIVersion string `yaml:"apiVersion"`
			Kind       string
			Metadata   struct{ Name, Namespace string }
			Spec       struct {
				SecretName string `yaml:"secretName"`
				CommonName string `yaml:"commonName"`
				Usages     []string
				PrivateKey struct {
					Algorithm string
					Size      int
				} `yaml:"privateKey"`
				IssuerRef struct{ Name, Kind string } `yaml:"issuerRef"`
			}
		}
		decoder := yaml.NewDecoder(strings.NewReader(b.Text))
		decoder.KnownFields(true)
		if err := decoder.Decode(&got); err != nil {
			t.Errorf("docs/tls.md:%d: %v", b.Line, err)
			continue
		}
		s := got.Spec
		if got.APIVersion != "cert-manager.io/v1" || got.Kind != "Certificate" || got.Metadata.Name == "" || s.SecretName == "" || s.CommonName == "" ||
			!slices.Contains(s.Usages, "client auth") || s.PrivateKey.Algorithm != "ECDSA" || s.PrivateKey.Size != 256 || s.IssuerRef.Name == "" || s.IssuerRef.Kind == "" {
			t.Errorf("docs/tls.md:%d: %+v", b.Line, got)
		}
	}
	if found == 0 {
		t.Error("docs/tls.md has no block in yaml")
	}
}
