package conf

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// cipherSuite is a suite of TLS 1.2 by its name, which becomes IANA's.
var cipherSuite = scalar(func(raw any) (string, error) {
	name, ok := raw.(string)
	if !ok {
		return "", mustBe(`the name of a cipher suite, such as "ECDHE-ECDSA-AES128-GCM-SHA256"`, raw)
	}
	return cipherName(name)
}, strconv.Quote).in(node{"type": "string"})

// cipherName returns IANA's name of a suite that may be used.
func cipherName(name string) (string, error) {
	wanted := cipherWord(name)
	named := func(s *tls.CipherSuite) bool { return cipherWord(s.Name) == wanted }
	secure := tls.CipherSuites()
	if i := slices.IndexFunc(secure, named); i >= 0 {
		if !slices.Contains(secure[i].SupportedVersions, tls.VersionTLS12) {
			return "", fmt.Errorf(`%s is a suite of TLS 1.3, whose suites are always offered, all three: leave it out; for TLS 1.3 alone set min_version = "1.3"`, quoted(name))
		}
		return secure[i].Name, nil
	}
	if slices.ContainsFunc(tls.InsecureCipherSuites(), named) || insecureCipher(wanted) {
		return "", fmt.Errorf("%s is insecure or not supported: use suites with ECDHE and AES-GCM or ChaCha20-Poly1305, such as %q", quoted(name), "ECDHE-RSA-AES128-GCM-SHA256")
	}
	hint := cmp.Or(didYouMean(name, cipherNames()), "; there are "+strings.Join(suites12(), ", ")+", also by OpenSSL's names")
	return "", fmt.Errorf("%s is no known cipher suite%s", quoted(name), hint)
}

// cipherWord is what is the same in IANA's and OpenSSL's names of a suite:
// TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 and ECDHE-RSA-AES128-GCM-SHA256 are
// ECDHERSAAES128GCMSHA256. OpenSSL leaves out CBC, the hash of ChaCha20-Poly1305, and RSA
// as the exchange of keys.
func cipherWord(name string) string {
	word := strings.ToUpper(strings.TrimSpace(name))
	if iana, is := strings.CutPrefix(word, "TLS_"); is {
		exchange, cipher, classic := strings.Cut(iana, "_WITH_")
		if !classic {
			return "TLS" + strings.ReplaceAll(iana, "_", "")
		}
		if exchange == "RSA" {
			exchange = ""
		}
		cipher = strings.Replace(cipher, "3DES_EDE_CBC", "DES_CBC3", 1)
		if !strings.Contains(cipher, "DES") {
			cipher = strings.Replace(cipher, "_CBC_", "_", 1)
		}
		if strings.HasPrefix(cipher, "CHACHA20") {
			cipher = strings.TrimSuffix(cipher, "_SHA256")
		}
		word = exchange + cipher
	}
	return strings.NewReplacer("_", "", "-", "").Replace(word)
}

// otherCipher are suites without secrecy of the past, or with finite fields.
var otherCipher = regexp.MustCompile(`^(DHE?|ECDHE?)?(RSA|DSS|ECDSA)?(AES(128|256)(GCM|CCM8?)?(SHA(256|384)?)?|CHACHA20POLY1305)$`)

// insecureCipher recognizes what crypto/tls does not have at all: no secrecy of the past,
// no authentication, no encryption, broken ciphers and hashes.
func insecureCipher(word string) bool {
	for _, part := range []string{"NULL", "EXP", "ADH", "AECDH", "ANON", "RC4", "RC2", "DES", "MD5", "PSK", "SRP", "IDEA", "SEED", "CAMELLIA", "KRB5"} {
		if strings.Contains(word, part) {
			return true
		}
	}
	return otherCipher.MatchString(word)
}

// suites12 are the suites of TLS 1.2 that may be named.
func suites12() (names []string) {
	for _, s := range tls.CipherSuites() {
		if slices.Contains(s.SupportedVersions, tls.VersionTLS12) {
			names = append(names, s.Name)
		}
	}
	return names
}

// cipherNames are both names of all suites of TLS 1.2 that may be named.
func cipherNames() (names []string) {
	for _, name := range suites12() {
		names = append(names, name, openSSLName(name))
	}
	return names
}

// openSSLName is OpenSSL's name of a suite of TLS 1.2, by IANA's.
func openSSLName(name string) string {
	exchange, cipher, _ := strings.Cut(strings.TrimPrefix(name, "TLS_"), "_WITH_")
	cipher = strings.Replace(cipher, "_CBC_", "_", 1)
	cipher = strings.Replace(cipher, "AES_", "AES", 1)
	if strings.HasPrefix(cipher, "CHACHA20") {
		cipher = strings.TrimSuffix(cipher, "_SHA256")
	}
	return strings.ReplaceAll(exchange+"_"+cipher, "_", "-")
}

// CipherSuites are the numbers of the suites in Ciphers; nil = the usual ones.
func (t *TLS) CipherSuites() (numbers []uint16) {
	for _, s := range tls.CipherSuites() {
		if slices.Contains(t.Ciphers, s.Name) {
			numbers = append(numbers, s.ID)
		}
	}
	return numbers
}

// validateCiphers refuses suites that no client could use. path is that of the
// frontend's table tls.
func validateCiphers(t *TLS, path string, d *decoder) {
	if len(t.Ciphers) > 0 && t.MinVersion == "1.3" && d.sound(path+".ciphers", path+".min_version") {
		d.fail(path+".ciphers", `are suites of TLS 1.2, which min_version = "1.3" does not accept: leave them out, or set min_version = "1.2"`)
	}
}

// cipherWarnings warns of suites that do not fit the types of the certificates' keys.
func (t *TLS) cipherWarnings(path string) []string {
	if len(t.Ciphers) == 0 {
		return nil
	}
	for i := range t.Certificates {
		for _, name := range t.Ciphers {
			if suitsKey(name, t.Certificates[i].Pair) {
				return nil
			}
		}
	}
	return []string{path + ".ciphers: none of them is for the type of key that the certificates have (ECDHE_RSA needs RSA, ECDHE_ECDSA needs ECDSA or Ed25519): clients of TLS 1.2 fail; add suites of that type"}
}

// suitsKey reports whether a suite can be used with a certificate.
func suitsKey(name string, pair *tls.Certificate) bool {
	isRSA := pair != nil && pair.Leaf.PublicKeyAlgorithm.String() == "RSA"
	return strings.HasPrefix(name, "TLS_ECDHE_RSA_") == isRSA
}
