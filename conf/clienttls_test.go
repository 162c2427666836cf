package conf

import (
	"bytes"
	"crypto/tls"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// withTLS returns a configuration whose frontend has these keys in its table tls.
func withTLS(keys string) string {
	return strings.ReplaceAll(minimal, "\n[[backend",
		"\n[frontend.tcp.tls]\ncertificates = [{ cert = \"testdata/tls/lb.pem\", key = \"testdata/tls/lb.key\" }]\n"+keys+"\n\n[[backend")
}

const clientKeys = `client_ca = "testdata/tls/clients-ca.pem"
client_crl = "testdata/tls/clients.crl"
client_verify = "require"
`

// TestClientTLSKeys checks that each key about clients and tickets is read into its
// field, with the content of its file, and that a reload sees a change of each.
func TestClientTLSKeys(t *testing.T) {
	t.Parallel()
	base := mustParse(t, withTLS(clientKeys))
	got := base.Frontends[0].TLS
	if got.ClientVerify != ClientVerifyRequire || !got.Verifies() || got.Clients == nil || len(got.Clients.Certificates) != 1 || len(got.Clients.Revocations) != 1 ||
		got.Clients.Revocations[0].Issuer.Subject.CommonName != "clients of mcplb.test" {
		t.Errorf("read %+v, %+v", got, got.Clients)
	}
	for keys, want := range map[string]string{
		clientKeys: "",
		strings.ReplaceAll(clientKeys, "require", "optional"):                                                     `client_verify = "optional"`,
		strings.ReplaceAll(clientKeys, `client_crl = "testdata/tls/clients.crl"`, ""):                             "~frontend.tcp.tls {",
		clientKeys + `ciphers = ["ECDHE-RSA-AES128-GCM-SHA256"]`:                                                  `ciphers = ["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"]`,
		clientKeys + `ticket_keys = "testdata/files/good.tickets"`:                                                `ticket_keys = "testdata/files/good.tickets"`,
		strings.ReplaceAll(clientKeys, "clients-ca.pem\"\nclient_crl = \"testdata/tls/clients.crl\"", "lb.pem\""): `client_ca = "testdata/tls/lb.pem"`,
	} {
		plan := Diff(base, mustParse(t, withTLS(keys))).String()
		if !strings.Contains(plan, want) || want == "" && plan != "nothing changed" && plan != Diff(base, base).String() {
			t.Errorf("%s:\ngot  %s\nwant %s", keys, plan, want)
		}
	}
}

// TestClientFilesChanged checks that new contents of the files are a change, as a reload
// must apply them, and that no key of a ticket is shown.
func TestClientFilesChanged(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	put := func(name, from string) {
		content, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(directory, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("ca.pem", "testdata/tls/clients-ca.pem")
	put("crl.pem", "testdata/tls/clients.crl")
	put("keys", "testdata/files/good.tickets")
	text := withTLS(`client_ca = "` + directory + `/ca.pem"
client_crl = "` + directory + `/crl.pem"
ticket_keys = "` + directory + `/keys"
client_verify = "optional"`)
	before := mustParse(t, text)
	if plan := Diff(before, mustParse(t, text)); !plan.Empty() {
		t.Errorf("the same files: %v", plan)
	}
	other, _ := os.ReadFile("testdata/tls/clients.crl")
	if err := os.WriteFile(directory+"/crl.pem", append(other, '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
	if plan := Diff(before, mustParse(t, text)).String(); !strings.HasPrefix(plan, "~frontend.tcp.tls.client_crl (") || strings.Count(plan, "~") != 1 {
		t.Errorf("another CRL: %s", plan)
	}
	const secret = "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100"
	if err := os.WriteFile(directory+"/keys", []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	if plan := Diff(before, mustParse(t, text)).String(); !strings.Contains(plan, "~frontend.tcp.tls.ticket_keys (") || strings.Contains(plan, secret[:8]) {
		t.Errorf("other ticket keys: %s", plan)
	}
}

// TestTicketKeys checks that a fleet can write its keys in every usual form.
func TestTicketKeys(t *testing.T) {
	t.Parallel()
	raw := make([]byte, 48)
	for i := range raw {
		raw[i] = byte(250 - i)
	}
	c := mustParse(t, withTLS(`ticket_keys = "testdata/files/good.tickets"`))
	keys := c.Frontends[0].TLS.Keys
	if len(keys) != 2 || len(keys[0]) != 32 || len(keys[1]) != 48 || keys[0][31] != 31 || keys[1][47] != 47 {
		t.Errorf("read %x", keys)
	}
	for text, want := range map[string]int{
		hex.EncodeToString(raw):                          48,
		strings.ToUpper(hex.EncodeToString(raw[:32])):    32,
		"  " + hex.EncodeToString(raw[:32]) + "\t\r\n\n": 32,
		"+vn49/b19PPy8fDv7u3s6+rp6Ofm5eTj4uHg397d3Ns=":   32,
		"-vn49_b19PPy8fDv7u3s6-rp6Ofm5eTj4uHg397d3Ns":    32,
	} {
		keys, err := parseTicketKeys([]byte(text))
		if err != nil || len(keys) != 1 || !bytes.Equal(keys[0], raw[:want]) {
			t.Errorf("%q: %x, %v", text, keys, err)
		}
	}
	many := ""
	for i := range mostTicketKeys + 1 {
		raw[0] = byte(i)
		many += hex.EncodeToString(raw) + "\n"
	}
	if _, err := parseTicketKeys([]byte(many)); err == nil || !strings.HasPrefix(err.Error(), ":65: ") {
		t.Errorf("too many: %v", err)
	}
}

// FuzzTicketKeys checks that no file breaks the reader, and that a message never shows
// what stands in the file.
func FuzzTicketKeys(f *testing.F) {
	f.Add("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f")
	f.Add("# x\n\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n")
	f.Add("secretsecretsecret")
	f.Fuzz(func(t *testing.T, text string) {
		keys, err := parseTicketKeys([]byte(text))
		if (err == nil) == (len(keys) == 0) {
			t.Errorf("%d keys, %v", len(keys), err)
		}
		for _, k := range keys {
			if len(k) != 32 && len(k) != 48 {
				t.Errorf("a key of %d bytes", len(k))
			}
		}
	})
}

// TestCipherNames checks that every suite can be named as IANA and as OpenSSL do.
func TestCipherNames(t *testing.T) {
	t.Parallel()
	openSSL := map[string]string{
		"ECDHE-RSA-AES128-SHA": "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", "ECDHE-RSA-AES256-SHA": "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
		"ECDHE-ECDSA-AES128-SHA": "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", "ECDHE-ECDSA-AES256-SHA": "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
		"ECDHE-RSA-AES128-GCM-SHA256": "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "ECDHE-RSA-AES256-GCM-SHA384": "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
		"ECDHE-ECDSA-AES128-GCM-SHA256": "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384": "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
		"ECDHE-RSA-CHACHA20-POLY1305": "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305": "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
	}
	var names []string
	for name, want := range openSSL {
		names = append(names, want)
		for _, written := range []string{name, want, strings.ToLower(name)} {
			if got, err := cipherName(written); got != want || err != nil {
				t.Errorf("%s: %s, %v", written, got, err)
			}
		}
		if got := openSSLName(want); got != name {
			t.Errorf("%s is %s to OpenSSL, not %s", want, name, got)
		}
	}
	slices.Sort(names)
	if all := slices.Sorted(slices.Values(suites12())); !slices.Equal(all, names) {
		t.Errorf("there are %q, and the test has %q", all, names)
	}
	if numbers := (&TLS{Ciphers: names[:3]}).CipherSuites(); len(numbers) != 3 {
		t.Errorf("numbers %x", numbers)
	}
	for _, suite := range tls.InsecureCipherSuites() {
		if _, err := cipherName(suite.Name); err == nil || !strings.Contains(err.Error(), "insecure") {
			t.Errorf("%s: %v", suite.Name, err)
		}
	}
	for _, name := range []string{"AES128-SHA", "DES-CBC3-SHA", "ADH-AES256-SHA", "NULL-SHA", "EXP-RC4-MD5", "DHE-RSA-AES128-SHA", "ECDH-RSA-AES128-SHA", "PSK-AES128-CBC-SHA"} {
		if _, err := cipherName(name); err == nil || !strings.Contains(err.Error(), "insecure") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"", "HIGH", "ECDHE", "ECDHE-RSA-AES128-GCM-SHA265"} {
		if _, err := cipherName(name); err == nil || !strings.Contains(err.Error(), "no known cipher suite") {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{"TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"} {
		if _, err := cipherName(name); err == nil || !strings.Contains(err.Error(), "TLS 1.3") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestClientWarnings checks what is accepted, but surely not meant.
func TestClientWarnings(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	tickets := filepath.Join(directory, "tickets")
	if err := os.WriteFile(tickets, []byte("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(tickets, 0o644); err != nil {
		t.Fatal(err)
	}
	now := mustParse(t, withTLS("")).Frontends[0].TLS.Certificates[0].Pair.Leaf.NotBefore.Add(time.Hour)
	stale := mustParse(t, withTLS(clientKeys)).Frontends[0].TLS.Clients.Revocations[0].List.NextUpdate.Add(time.Hour)
	made := mustParse(t, withTLS(clientKeys)).Frontends[0].TLS.Clients.Revocations[0].List.ThisUpdate.Add(time.Hour)
	for _, c := range []struct {
		keys string
		at   time.Time
		want string // "" = no warning
	}{
		{clientKeys, made, ""},
		{clientKeys, stale, `frontend.tcp.tls.client_crl: "testdata/tls/clients.crl" has the list of "CN=clients of mcplb.test", whose next update was due on `},
		{clientKeys, made.AddDate(-1, 0, 0), "which is of "},
		{clientKeys, stale.AddDate(100, 0, 0), "which was valid until "},
		{strings.ReplaceAll(clientKeys, "require", "off"), made, `does nothing, since client_verify is "off"`},
		{`ticket_keys = "` + tickets + `"`, now, "(mode 0644)"},
		{`ciphers = ["ECDHE-RSA-AES128-GCM-SHA256"]`, now, "clients of TLS 1.2 fail"},
		{`ciphers = ["ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256"]`, now, ""},
	} {
		var found []string
		for _, w := range mustParse(t, withTLS(c.keys)).Warnings(c.at) {
			if !strings.Contains(w, ".tls.certificates[") {
				found = append(found, w)
			}
		}
		text := strings.Join(found, "\n")
		if c.want == "" && text != "" || !strings.Contains(text, c.want) {
			t.Errorf("%s at %v:\ngot  %s\nwant %s", c.keys, c.at, text, c.want)
		}
	}
}
