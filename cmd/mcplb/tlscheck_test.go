package main

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mcplb/internal/certificate"
)

// TestTLSCheck checks what an operator learns of his certificates before clients do, from
// the files and from a configuration with them, and that a script can tell by the status.
func TestTLSCheck(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	day := 24 * time.Hour
	now := time.Now()
	sign := func(name string, issuer *tls.Certificate, o certificate.Options) tls.Certificate {
		o.Subject = pkix.Name{CommonName: name}
		return certificate.Sign(t, issuer, certificate.ECDSA(t), o)
	}
	year := certificate.Validity{From: now.Add(-time.Hour), Until: now.AddDate(1, 0, 0)}
	root := sign("root", nil, certificate.Options{CA: true, Valid: year})
	middle := sign("middle", &root, certificate.Options{CA: true, Valid: year})
	server := func(issuer *tls.Certificate, valid certificate.Validity, names ...string) tls.Certificate {
		return certificate.New(t, issuer, certificate.ECDSA(t), valid, names...)
	}
	put := func(name string, c tls.Certificate, chain ...tls.Certificate) {
		certificate.Write(t, directory, name, c)
		file, err := os.OpenFile(filepath.Join(directory, name+".pem"), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		if _, err := file.Write(certificate.Text(chain...)); err != nil {
			t.Fatal(err)
		}
	}
	weakKey, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	put("root", root)
	put("good", server(&middle, year, "a.test"), middle, root)
	put("without-root", server(&middle, year, "a.test"), middle)
	put("alone", server(&middle, year, "a.test"))
	put("jumbled", server(&middle, year, "a.test"), root, middle)
	put("weak", certificate.New(t, nil, weakKey, year, "a.test"))
	put("ended", server(nil, certificate.Validity{From: now.Add(-2 * day), Until: now.Add(-day)}, "a.test"))
	put("ending", server(nil, certificate.Validity{From: now.Add(-day), Until: now.Add(day)}, "a.test"))
	put("nameless", sign("a.test", nil, certificate.Options{Usage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, Valid: year}))
	put("client", sign("alice", nil, certificate.Options{Valid: year}))
	put("old-chain", server(&middle, year, "a.test"), sign("middle", &root, certificate.Options{CA: true, Valid: certificate.Validity{From: now.Add(-2 * day), Until: now.Add(-day)}}))
	for name, list := range map[string][]byte{"fresh.pem": certificate.Revoke(t, root, now.Add(day), middle), "stale.pem": certificate.Revoke(t, root, now.Add(-day))} {
		if err := os.WriteFile(filepath.Join(directory, name), list, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		args   string // file names stand in the directory
		status int
		want   string
	}{
		{"good.pem", 0, "a.test, valid until "},
		{"-key good.key good.pem", 0, "nothing to say"},
		{"without-root.pem", 1, `no certificate of its issuer "CN=root"`},
		{"-ca root.pem without-root.pem", 0, "nothing to say"},
		{"alone.pem", 1, `no certificate of its issuer "CN=middle"`},
		{"-ca root.pem alone.pem", 1, "append the intermediate certificates"},
		{"jumbled.pem", 1, "put each issuer behind what it issued"},
		{"weak.pem", 1, "an RSA key of 1024 bits"},
		{"ended.pem", 1, "was valid until "},
		{"ending.pem", 1, "renew it"},
		{"old-chain.pem", 1, `its certificate 2, "CN=middle", was valid until`},
		{"nameless.pem", 1, "subjectAltName"},
		{"client.pem", 0, "CN=alice"},
		{"root.pem", 0, "CN=root"},
		{"fresh.pem", 0, "CN=root revokes 1"},
		{"stale.pem", 1, "next update was due on"},
		{"-key weak.key good.pem", 2, "the key does not belong to the certificate"},
		{"good.key", 2, "has no certificate"},
		{"absent.pem", 2, "no such file"},
		{"good.pem weak.pem absent.pem", 2, "an RSA key"},
	} {
		args := []string{"tls-check"}
		for _, arg := range strings.Fields(c.args) {
			if strings.Contains(arg, ".") {
				arg = filepath.Join(directory, arg)
			}
			args = append(args, arg)
		}
		if status, stdout, stderr := mcplb(args...); status != c.status || !strings.Contains(stdout+stderr, c.want) {
			t.Errorf("%s: status %d, want %d, %q\n%s%s", c.args, status, c.status, c.want, stdout, stderr)
		}
	}
}

// TestUnreachableNames checks that -t and tls-check warn of certificates that no client is
// shown, and of hosts of routes that no certificate has.
func TestUnreachableNames(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	year := certificate.Validity{From: time.Now().Add(-time.Hour), Until: time.Now().AddDate(1, 0, 0)}
	var pairs []string
	for i, names := range [][]string{{"a.test", "*.b.test"}, {"x.b.test", "a.test"}, {"c.test", "a.test"}, {"127.0.0.1"}, {"d.test"}} {
		name := fmt.Sprint("lb", i)
		certificate.Write(t, directory, name, certificate.New(t, nil, certificate.ECDSA(t), year, names...))
		pairs = append(pairs, fmt.Sprintf("{ cert = \"%s/%s.pem\", key = \"%s/%s.key\" }", directory, name, directory, name))
	}
	certificate.Write(t, directory, "rsa", certificate.New(t, nil, certificate.RSA(t), year, "a.test"))
	pairs = append(pairs, fmt.Sprintf("{ cert = \"%s/rsa.pem\", key = \"%s/rsa.key\" }", directory, directory))
	path := filepath.Join(directory, "lb.toml")
	text := "[frontend.f]\nlisten = \":8443\"\nmode = \"http\"\nbackend = \"b\"\ntls = { certificates = [" + strings.Join(pairs, ", ") + "] }\n" +
		"[[frontend.f.route]]\nhost = [\"a.test\", \"y.b.test\", \"*.b.test\", \"z.y.b.test\", \"e.test\", \"*.e.test\", \"127.0.0.1\"]\n[[backend.b.server]]\nname = \"s\"\nhttp = \"192.0.2.1:1\"\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	status, stdout, stderr := mcplb("tls-check", path)
	var found []string
	for _, line := range strings.Split(strings.TrimSpace(stdout+stderr), "\n") {
		found = append(found, strings.TrimPrefix(line, path+": warning: "))
	}
	want := []string{"frontend.f.route[0].host: no certificate of this frontend has the name \"*.e.test\"", "\"e.test\"", "\"z.y.b.test\"",
		"frontend.f.tls.certificates[1]: \"" + directory + "/lb1.pem\" is never presented: certificate [0]", "certificates[2]: \"" + directory + "/lb2.pem\" is never presented for \"a.test\"",
		"certificates[3]: \"" + directory + "/lb3.pem\" is never presented: it has no host name"}
	if status != 1 || len(found) != len(want) {
		t.Fatalf("status %d\n%s", status, strings.Join(found, "\n"))
	}
	for i, w := range want {
		if !strings.Contains(found[i], w) {
			t.Errorf("got  %s\nwant %s", found[i], w)
		}
	}
	var out, errs bytes.Buffer
	if status := run([]string{"-c", path, "-t"}, &out, &errs); status != 0 || strings.Count(errs.String(), ": warning: ") != len(want) {
		t.Errorf("-t: %d\n%s", status, errs.String())
	}
}
