package conf

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
)

// readPEM reads a small file of PEM blocks.
func readPEM(path string) ([]byte, error) {
	text, err := ReadFile(path, MostSmall)
	if err == nil {
		if err = checkPEM(text); err != nil {
			err = fmt.Errorf("%s %w", quoted(path), err)
		}
	}
	return text, err
}

// checkPEM reports what keeps a file from being read as PEM. A block that begins and has no
// end is an error even beside good ones: it would be left out silently, and with it an
// authority, an intermediate certificate, or all that a list revokes.
func checkPEM(text []byte) error {
	blocks, begun := 0, 0
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		blocks++
	}
	for line := range bytes.Lines(text) {
		if bytes.HasPrefix(line, []byte("-----BEGIN ")) {
			begun++
		}
	}
	switch {
	case len(bytes.TrimSpace(text)) == 0:
		return errors.New("is empty: write it under another name, and rename it when it is complete")
	case text[0] == derSequence:
		return errors.New("is in DER form or PKCS #12, and must be PEM: convert it, with openssl x509 -inform der, or openssl pkcs12 -nodes")
	case begun > blocks:
		return errors.New("is half written or damaged, since a -----BEGIN has no matching end: replace it, by renaming a complete file")
	}
	return nil
}
