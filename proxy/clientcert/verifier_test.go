package clientcert

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mcplb/conf"
	"mcplb/internal/certificate"
	"mcplb/internal/endpoint"
)

// people are authorities, and certificates of clients.
type people struct {
	t                         testing.TB
	root, middle, other, self tls.Certificate
}

func newPeople(t testing.TB) *people {
	t.Helper()
	p := &people{t: t}
	authority := func(name string, issuer *tls.Certificate) tls.Certificate {
		return certificate.Sign(t, issuer, certificate.ECDSA(t), certificate.Options{Subject: pkix.Name{CommonName: name}, CA: true})
	}
	p.root, p.other = authority("root", nil), authority("other", nil)
	p.middle = authority("middle", &p.root)
	p.self = certificate.Sign(t, nil, certificate.ECDSA(t), certificate.Options{Subject: pkix.Name{CommonName: "self"}})
	return p
}

// client returns a certificate of a client.
func (p *people) client(issuer *tls.Certificate, o certificate.Options) tls.Certificate {
	if o.Subject.CommonName == "" {
		o.Subject.CommonName = "alice"
	}
	return certificate.Sign(p.t, issuer, certificate.ECDSA(p.t), o)
}

// verifier reads a configuration with these authorities and lists.
func (p *people) verifier(verify conf.ClientVerify, authorities []byte, lists ...[]byte) *Verifier {
	p.t.Helper()
	directory := p.t.TempDir()
	put := func(name string, text []byte) string {
		path := filepath.Join(directory, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			p.t.Fatal(err)
		}
		return path
	}
	certificate.Write(p.t, directory, "lb", certificate.New(p.t, nil, certificate.ECDSA(p.t), certificate.Today(), "lb.test"))
	text := "[frontend.f]\nlisten = \":1\"\nmode = \"http\"\nbackend = \"b\"\n[frontend.f.tls]\ncertificates = [{ cert = \"" + directory + "/lb.pem\", key = \"" + directory + "/lb.key\" }]\n" +
		"client_verify = \"" + string(verify) + "\"\nclient_ca = \"" + put("ca.pem", authorities) + "\"\n"
	var all []byte
	for _, list := range lists {
		all = append(all, list...)
	}
	if len(all) > 0 {
		text += "client_crl = \"" + put("crl.pem", all) + "\"\n"
	}
	c, err := conf.Parse("lb.toml", []byte(text+"[[backend.b.server]]\nname = \"s\"\nhttp = \"192.0.2.1:1\"\n"))
	if err != nil {
		p.t.Fatal(err)
	}
	return New(c.Frontends[0].TLS)
}

// shake makes a connection between a server that asks v and a client with these
// certificates, and returns why the server refuses it.
func (p *people) shake(v *Verifier, version uint16, shown ...tls.Certificate) error {
	p.t.Helper()
	acceptor := endpoint.Accept(p.t)
	far := endpoint.Dial(p.t, acceptor.Address).TCPConn
	near := acceptor.Next()
	lb := certificate.New(p.t, nil, certificate.ECDSA(p.t), certificate.Today(), "lb.test")
	client := &tls.Config{InsecureSkipVerify: true, MaxVersion: version}
	client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		chain := &tls.Certificate{}
		for i, c := range shown {
			chain.Certificate = append(chain.Certificate, c.Certificate[0])
			if i == 0 {
				chain.PrivateKey = c.PrivateKey
			}
		}
		return chain, nil
	}
	go func() {
		c := tls.Client(far, client)
		_ = c.Handshake()
		_, _ = c.Read(make([]byte, 1))
		far.Close()
	}()
	config := &tls.Config{Certificates: []tls.Certificate{lb}, ClientAuth: v.Auth(), ClientCAs: v.Authorities(), VerifyConnection: v.Verify, SessionTicketsDisabled: true}
	return tls.Server(near, config).Handshake()
}

// TestVerifier checks what each certificate of a client is worth, in both versions of
// TLS: who is accepted wrongly gets in, and who is refused for a wrong reason searches in
// the wrong place.
func TestVerifier(t *testing.T) {
	t.Parallel()
	p := newPeople(t)
	day := 24 * time.Hour
	now := time.Now()
	good, middled := p.client(&p.root, certificate.Options{}), p.client(&p.middle, certificate.Options{})
	revoked, other := p.client(&p.root, certificate.Options{}), p.client(&p.other, certificate.Options{})
	old := p.client(&p.root, certificate.Options{Valid: certificate.Validity{From: now.Add(-2 * day), Until: now.Add(-day)}})
	early := p.client(&p.root, certificate.Options{Valid: certificate.Validity{From: now.Add(day), Until: now.Add(2 * day)}})
	wrong := p.client(&p.root, certificate.Options{Usage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	unsure := p.client(&p.root, certificate.Options{Usage: []x509.ExtKeyUsage{}})
	weakKey, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	weak := certificate.Sign(t, &p.root, weakKey, certificate.Options{Subject: pkix.Name{CommonName: "weak"}})
	// A client may sign with its certificate as if it were an authority's.
	forged := p.client(&good, certificate.Options{})
	stale := now.Add(-day)
	rootList := certificate.Revoke(t, p.root, now.Add(day), revoked)
	for name, c := range map[string]struct {
		v     *Verifier
		shown []tls.Certificate
		fault Fault // none: accepted
		text  string
	}{
		"good":                     {v: p.verifier("require", certificate.Text(p.root), rootList), shown: []tls.Certificate{good}, fault: none},
		"none":                     {v: p.verifier("require", certificate.Text(p.root)), fault: Missing, text: "showed none"},
		"none, optional":           {v: p.verifier("optional", certificate.Text(p.root)), fault: none},
		"other, optional":          {v: p.verifier("optional", certificate.Text(p.root)), shown: []tls.Certificate{other}, fault: UnknownAuthority},
		"revoked, optional":        {v: p.verifier("optional", certificate.Text(p.root), rootList), shown: []tls.Certificate{revoked}, fault: Revoked},
		"with its intermediate":    {v: p.verifier("require", certificate.Text(p.root), rootList), shown: []tls.Certificate{middled, p.middle}, fault: none},
		"without its intermediate": {v: p.verifier("require", certificate.Text(p.root)), shown: []tls.Certificate{middled}, fault: UnknownAuthority, text: "intermediate certificates are missing"},
		"intermediate in the file": {v: p.verifier("require", certificate.Text(p.root, p.middle)), shown: []tls.Certificate{middled}, fault: none},
		"intermediate alone":       {v: p.verifier("require", certificate.Text(p.middle)), shown: []tls.Certificate{middled}, fault: none},
		"revoked by intermediate": {
			v:     p.verifier("require", certificate.Text(p.root, p.middle), certificate.Revoke(t, p.middle, now.Add(day), middled), rootList),
			shown: []tls.Certificate{middled, p.middle}, fault: Revoked, text: "the certificate",
		},
		"intermediate revoked": {
			v:     p.verifier("require", certificate.Text(p.root), certificate.Revoke(t, p.root, now.Add(day), p.middle)),
			shown: []tls.Certificate{middled, p.middle}, fault: Revoked, text: "its issuer's certificate",
		},
		"intermediate in the file, and revoked": {
			v:     p.verifier("require", certificate.Text(p.root, p.middle), certificate.Revoke(t, p.root, now.Add(day), p.middle)),
			shown: []tls.Certificate{middled}, fault: Revoked, text: "its issuer's certificate",
		},
		"another authority":         {v: p.verifier("require", certificate.Text(p.root)), shown: []tls.Certificate{other, p.other}, fault: UnknownAuthority, text: `is of "CN=other"`},
		"one of two":                {v: p.verifier("require", certificate.Text(p.root, p.other)), shown: []tls.Certificate{other}, fault: none},
		"self-signed":               {v: p.verifier("require", certificate.Text(p.root)), shown: []tls.Certificate{p.self}, fault: UnknownAuthority},
		"signed by a client":        {v: p.verifier("require", certificate.Text(p.root)), shown: []tls.Certificate{forged, good}, fault: UnknownAuthority},
		"expired":                   {v: p.verifier("require", certificate.Text(p.root)), shown: []tls.Certificate{old}, fault: Expired, text: "expired on"},
		"not valid yet":             {v: p.verifier("require", certificate.Text(p.root)), shown: []tls.Certificate{early}, fault: Bad, text: "not valid before"},
		"for servers":               {v: p.verifier("require", certificate.Text(p.root)), shown: []tls.Certificate{wrong}, fault: Bad, text: "clientAuth"},
		"for anything":              {v: p.verifier("require", certificate.Text(p.root)), shown: []tls.Certificate{unsure}, fault: none},
		"weak":                      {v: p.verifier("require", certificate.Text(p.root)), shown: []tls.Certificate{weak}, fault: Bad, text: "1024 bits"},
		"revoked":                   {v: p.verifier("require", certificate.Text(p.root), rootList), shown: []tls.Certificate{revoked}, fault: Revoked, text: "was revoked on"},
		"revoked by a stale list":   {v: p.verifier("require", certificate.Text(p.root), certificate.Revoke(t, p.root, stale, revoked)), shown: []tls.Certificate{revoked}, fault: Revoked},
		"good, and a stale list":    {v: p.verifier("require", certificate.Text(p.root), certificate.Revoke(t, p.root, stale, revoked)), shown: []tls.Certificate{good}, fault: none},
		"revoked by another's list": {v: p.verifier("require", certificate.Text(p.root, p.other), certificate.Revoke(t, p.other, now.Add(day), good)), shown: []tls.Certificate{good}, fault: none},
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			err := p.shake(c.v, version, c.shown...)
			got := none
			if fault := ErrorOf(err); fault != nil {
				got = fault.Fault
				if !strings.Contains(fault.Detail, c.text) {
					t.Errorf("%s: the detail is %q", name, fault.Detail)
				}
			} else if err != nil {
				t.Errorf("%s, %x: %v", name, version, err)
				continue
			}
			if got != c.fault {
				t.Errorf("%s, %x: %d, want %d: %v", name, version, got, c.fault, err)
			}
		}
	}
}

// none stands for no fault.
const none Fault = 255

// TestVerifierResumed checks that a ticket is worth no more than the certificate in it is
// now.
func TestVerifierResumed(t *testing.T) {
	t.Parallel()
	p := newPeople(t)
	good := p.client(&p.root, certificate.Options{})
	state := tls.ConnectionState{DidResume: true, PeerCertificates: []*x509.Certificate{good.Leaf}, VerifiedChains: [][]*x509.Certificate{{good.Leaf, p.root.Leaf}}}
	later := time.Now().Add(time.Hour)
	for name, c := range map[string]struct {
		v     *Verifier
		fault Fault
	}{
		"as before":         {p.verifier("require", certificate.Text(p.root)), none},
		"revoked":           {p.verifier("require", certificate.Text(p.root), certificate.Revoke(t, p.root, later, good)), Revoked},
		"another authority": {p.verifier("optional", certificate.Text(p.other)), UnknownAuthority},
	} {
		got := none
		if fault := ErrorOf(c.v.Verify(state)); fault != nil {
			got = fault.Fault
		}
		if got != c.fault {
			t.Errorf("%s: %d, want %d", name, got, c.fault)
		}
	}
	if err := p.verifier("require", certificate.Text(p.root)).Verify(tls.ConnectionState{}); err != nil {
		t.Errorf("no certificate: %v", err)
	}
}

// TestIDs checks that every change of what is verified shows, and nothing else.
func TestIDs(t *testing.T) {
	t.Parallel()
	p := newPeople(t)
	list := certificate.Revoke(t, p.root, time.Now().Add(time.Hour))
	seen := map[uint64]string{}
	for name, v := range map[string]*Verifier{
		"require": p.verifier("require", certificate.Text(p.root)), "optional": p.verifier("optional", certificate.Text(p.root)),
		"other": p.verifier("require", certificate.Text(p.other)), "with a list": p.verifier("require", certificate.Text(p.root), list),
	} {
		if before, twice := seen[v.ID()]; twice || v.ID() == 0 {
			t.Errorf("%s and %q are %d", name, before, v.ID())
		}
		seen[v.ID()] = name
	}
	if a, b := p.verifier("require", certificate.Text(p.root), list), p.verifier("require", certificate.Text(p.root), list); a.ID() != b.ID() {
		t.Error("the same files in another place are another verification")
	}
	if New(nil) != nil || IDOf(nil) != 0 || p.verifier("off", certificate.Text(p.root)) != nil {
		t.Error("clients are asked for certificates although verification is off")
	}
}

// TestErrorOf checks errors that are not about certificates.
func TestErrorOf(t *testing.T) {
	t.Parallel()
	for _, err := range []error{nil, errors.New("tls: no cipher suite supported by both client and server"), net.ErrClosed, &net.OpError{Op: "remote error", Err: errors.New("tls: bad certificate")}} {
		if found := ErrorOf(err); found != nil {
			t.Errorf("%v: %v", err, found)
		}
	}
	for text, fault := range map[string]Fault{
		"tls: client didn't provide a certificate": Missing, "tls: failed to parse client certificate: x509: malformed": Bad,
		"tls: client sent certificate containing RSA key larger than 8192 bits": Bad, "tls: invalid signature by the client certificate: x": Bad,
	} {
		if found := ErrorOf(errors.New(text)); found == nil || found.Fault != fault || found.Error() == "" {
			t.Errorf("%s: %v", text, found)
		}
	}
}
