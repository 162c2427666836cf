package lb

import (
	"regexp"
	"strings"
)

// suite is a cipher suite of TLS 1.2 that mcplb has, by OpenSSL's name or IANA's.
var suite = regexp.MustCompile(`^(?:ECDHE-(?:ECDSA|RSA)-(?:AES128-GCM-SHA256|AES256-GCM-SHA384|AES(?:128|256)-SHA|CHACHA20-POLY1305)|TLS_ECDHE_(?:ECDSA|RSA)_WITH_(?:AES_128_GCM_SHA256|AES_256_GCM_SHA384|AES_(?:128|256)_CBC_SHA|CHACHA20_POLY1305_SHA256))$`)

// usualSuites is what stands for a list that is no list of suites.
const usualSuites = "ECDHE with AES-GCM or ChaCha20, and TLS 1.3's suites"

// SetCiphers sets the suites of TLS 1.2 of a table for TLS, from OpenSSL's list of
// ciphers. Of a list of names, those that mcplb has are taken; a list with classes, such
// as HIGH, is not evaluated.
func (t *Table) SetCiphers(d *Directive, list string) {
	var names, missing []string
	for _, item := range strings.FieldsFunc(list, func(r rune) bool { return strings.ContainsRune(": ,", r) }) {
		switch {
		case suite.MatchString(item):
			names = append(names, item)
		case strings.HasPrefix(item, "!") || strings.HasPrefix(item, "-") || strings.HasPrefix(item, "@") || strings.HasPrefix(item, "TLS_AES_") || strings.HasPrefix(item, "TLS_CHACHA20_"):
		case strings.Contains(item, "-") && !strings.Contains(item, "+"):
			missing = append(missing, item)
		default:
			t.Differ(d, "", "%s", usualSuites)
			return
		}
	}
	switch {
	case len(names) > 0:
		t.Set("ciphers", names, d)
	case len(missing) > 0:
		d.Impossible("mcplb has none of these suites: it has those with ECDHE")
		return
	default:
		t.Differ(d, "", "%s", usualSuites)
	}
	if len(missing) > 0 {
		t.Differ(d, "ciphers", "mcplb does not have %s", strings.Join(missing, ", "))
	}
}
