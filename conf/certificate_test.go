package conf

import (
	"os"
	"strings"
	"testing"
	"time"

	"mcplb/internal/certificate"
)

// writePair writes a self-signed certificate, valid between two times, and its
// key.
func writePair(t *testing.T, directory string, from, until time.Time) {
	t.Helper()
	valid := certificate.Validity{From: from, Until: until}
	certificate.Write(t, directory, "lb", certificate.New(t, nil, certificate.ECDSA(t), valid, "a.test"))
}

// secured returns a configuration with the certificate in a directory.
func secured(directory string) string {
	return strings.ReplaceAll(minimal, "mode =",
		`tls = { certificates = [{ cert = "`+directory+`/lb.pem", key = "`+directory+`/lb.key" }] }`+"\nmode =")
}

// TestCertificateRenewed checks that a plan has a certificate whose file has new
// contents, and that an unchanged one is no change.
func TestCertificateRenewed(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	day := func(s string) time.Time {
		when, err := time.Parse(time.DateOnly, s)
		if err != nil {
			t.Fatal(err)
		}
		return when
	}
	writePair(t, directory, day("2020-01-01"), day("2030-02-03"))
	before := mustParse(t, secured(directory))
	if plan := Diff(before, mustParse(t, secured(directory))); !plan.Empty() {
		t.Errorf("the same certificate: %v", plan)
	}
	writePair(t, directory, day("2020-01-01"), day("2031-02-03"))
	plan := Diff(before, mustParse(t, secured(directory)))
	text := plan.String()
	if plan.Empty() || !strings.HasPrefix(text, "~frontend.tcp.tls.certificates[0] (valid until 2030-02-03, ") ||
		!strings.Contains(text, " -> (valid until 2031-02-03, ") || strings.Count(text, "~") != 1 {
		t.Errorf("another certificate: %v", text)
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	from := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	until := from.AddDate(1, 0, 0)
	writePair(t, directory, from, until)
	c := mustParse(t, secured(directory))
	for name, want := range map[string]struct {
		now  time.Time
		text string
	}{
		"good":          {from.AddDate(0, 6, 0), ""},
		"about to end":  {until.Add(-time.Hour), "is valid until 2027-01-01T00:00:00Z: renew it and reload"},
		"ended":         {until.Add(time.Hour), "was valid until 2027-01-01T00:00:00Z: clients refuse it"},
		"not yet valid": {from.Add(-time.Hour), "is not valid before 2026-01-01T00:00:00Z"},
	} {
		found := c.Warnings(want.now)
		if want.text == "" && len(found) > 0 || want.text != "" && (len(found) != 1 || !strings.Contains(found[0], want.text)) {
			t.Errorf("%s: %q", name, found)
		}
	}
	if err := os.Chmod(directory+"/lb.key", 0o644); err != nil {
		t.Fatal(err)
	}
	found := c.Warnings(from.AddDate(0, 6, 0))
	if len(found) != 1 || !strings.Contains(found[0], "(mode 0644): chmod o= it") || !strings.HasPrefix(found[0], "frontend.tcp.tls.certificates[0]: ") {
		t.Errorf("a key that every user may read: %q", found)
	}
	if found := mustParse(t, minimal).Warnings(from); len(found) > 0 {
		t.Errorf("without TLS: %q", found)
	}
}
