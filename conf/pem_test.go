package conf

import (
	"encoding/pem"
	"strings"
	"testing"
)

// What an operator is told of a file that is no PEM, or not all of it: files are replaced
// while mcplb reads them, and an authority or a list of revoked certificates that is cut off must
// not be left out silently.
func TestCheckPEM(t *testing.T) {
	t.Parallel()
	block := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: make([]byte, 100)}))
	for text, want := range map[string]string{
		block:                                    "",
		block + block:                            "",
		"Issuer: CN=x\n" + block + "# a comment": "",
		strings.ReplaceAll(block, "\n", "\r\n"):  "",
		"no block":                               "",
		"":                                       "is empty",
		" \n":                                    "is empty",
		"\x30\x82\x01\x00":                       "openssl x509 -inform der",
		block[:40]:                               "half written",
		block + block[:40]:                       "half written",
		block[:40] + block:                       "half written",
		block + strings.Replace(block, "END", "EN", 1): "half written",
		strings.Replace(block, "A", "!", 1) + block:    "half written",
	} {
		err := checkPEM([]byte(text))
		if got := err != nil; got != (want != "") || got && !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q (%d bytes): %v, want %q", text, len(text), err, want)
		}
	}
	for cut := 1; cut < len(block)-len("-\n"); cut++ {
		if begun := cut >= len("-----BEGIN "); (checkPEM([]byte(block[:cut])) == nil) == begun {
			t.Errorf("the first %d bytes of a certificate: begun %t", cut, begun)
		}
	}
}
