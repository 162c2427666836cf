package certificate

import (
	"crypto/tls"
	"crypto/x509"
	"path/filepath"
	"testing"
	"time"

	"mcplb/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// TestNew reads a written certificate, and checks that only clients that trust
// its issuer accept it, for its names and its validity.
func TestNew(t *testing.T) {
	t.Parallel()
	authority := New(t, nil, ECDSA(t), Today(), "authority")
	other := New(t, nil, ECDSA(t), Today(), "authority")
	directory := t.TempDir()
	Write(t, directory, "lb", New(t, &authority, RSA(t), Today(), "a.test", "127.0.0.1"))
	read, err := tls.LoadX509KeyPair(filepath.Join(directory, "lb.pem"), filepath.Join(directory, "lb.key"))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for name, c := range map[string]struct {
		trusted tls.Certificate
		host    string
		at      time.Time
		valid   bool
	}{
		"host":            {authority, "a.test", now, true},
		"address":         {authority, "127.0.0.1", now, true},
		"other host":      {authority, "b.test", now, false},
		"other authority": {other, "a.test", now, false},
		"late":            {authority, "a.test", now.AddDate(0, 0, 1), false},
		"early":           {authority, "a.test", now.AddDate(0, 0, -1), false},
	} {
		_, err := read.Leaf.Verify(x509.VerifyOptions{Roots: Pool(c.trusted), DNSName: c.host, CurrentTime: c.at})
		if (err == nil) != c.valid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestNewWithoutIssuer checks that a self-signed certificate can be trusted
// directly.
func TestNewWithoutIssuer(t *testing.T) {
	t.Parallel()
	until := time.Now().AddDate(0, 6, 0)
	c := New(t, nil, ECDSA(t), UntilThen(until), "a.test")
	if _, err := c.Leaf.Verify(x509.VerifyOptions{Roots: Pool(c), DNSName: "a.test", CurrentTime: until.AddDate(0, -11, 0)}); err != nil {
		t.Error(err)
	}
	if !c.Leaf.NotAfter.Equal(until.Truncate(time.Second)) {
		t.Errorf("it ends at %v, want %v", c.Leaf.NotAfter, until)
	}
}
