package tlsio

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"hash"

	"golang.org/x/crypto/chacha20poly1305"
)

// suite is a cipher suite of TLS 1.3 (RFC 8446 appendix B.4).
type suite struct {
	id     uint16
	hash   func() hash.Hash
	secret int // bytes of a traffic secret: those of the hash
	key    int // bytes of a key
	aead   func(key []byte) (cipher.AEAD, error)
}

// layerSuites are the suites that crypto/tls negotiates in TLS 1.3.
var layerSuites = [...]suite{
	{tls.TLS_AES_128_GCM_SHA256, sha256.New, sha256.Size, 16, gcm},
	{tls.TLS_AES_256_GCM_SHA384, sha512.New384, sha512.Size384, 32, gcm},
	{tls.TLS_CHACHA20_POLY1305_SHA256, sha256.New, sha256.Size, chacha20poly1305.KeySize, chacha20poly1305.New},
}

func gcm(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// suiteOf returns the suite with that number, nil when there is none.
func suiteOf(id uint16) *suite {
	for i := range layerSuites {
		if layerSuites[i].id == id {
			return &layerSuites[i]
		}
	}
	return nil
}

// expand is HKDF-Expand-Label without a context (RFC 8446 section 7.1).
func (s *suite) expand(secret []byte, label string, size int) []byte {
	label = "tls13 " + label
	info := binary.BigEndian.AppendUint16(make([]byte, 0, 32), uint16(size))
	info = append(append(info, byte(len(label))), label...)
	out, err := hkdf.Expand(s.hash, secret, string(append(info, 0)), size)
	if err != nil {
		panic(err) // more than 255 hashes were asked for
	}
	return out
}

const (
	nonceSize = 12
	tagSize   = 16
	mostHash  = sha512.Size384

	// mostRecords is how many records one key may protect: RFC 8446 section 5.5 allows
	// AES-GCM 2^24.5. ChaCha20-Poly1305, which needs no limit, has the same.
	mostRecords = 1 << 24
)

// direction holds the traffic secret of one direction of a connection, and the number
// of its next record. What is derived from the secret is there only while the
// connection is in use: see rest.
type direction struct {
	suite  *suite
	secret [mostHash]byte // its first suite.secret bytes
	seq    uint64         // of the next record, under this secret
	iv     [nonceSize]byte
	aead   cipher.AEAD // nil = not derived
}

// set begins with a secret, whose first record has the number seq.
func (d *direction) set(s *suite, secret []byte, seq uint64) error {
	if s == nil || len(secret) != s.secret {
		return fmt.Errorf("a traffic secret of %d bytes does not fit the cipher suite", len(secret))
	}
	*d = direction{suite: s, seq: seq}
	copy(d.secret[:], secret)
	return nil
}

// present is the traffic secret.
func (d *direction) present() []byte { return d.secret[:d.suite.secret] }

// cipher derives key and IV from the secret (RFC 8446 section 7.3), unless that was done.
func (d *direction) cipher() cipher.AEAD {
	if d.aead != nil {
		return d.aead
	}
	copy(d.iv[:], d.suite.expand(d.present(), "iv", nonceSize))
	key := d.suite.expand(d.present(), "key", d.suite.key)
	aead, err := d.suite.aead(key)
	if err != nil {
		panic(err) // of a key that has the size of its cipher
	}
	clear(key)
	d.aead = aead
	return aead
}

// update goes on with the next generation of the secret (RFC 8446 section 7.2).
func (d *direction) update() {
	next := d.suite.expand(d.present(), "traffic upd", d.suite.secret)
	_ = d.set(d.suite, next, 0) // its size is that of the suite
	clear(next)
}

// rest gives the memory of the cipher back: 768 bytes with AES-GCM.
func (d *direction) rest() { d.aead = nil }

// wipe forgets the secret.
func (d *direction) wipe() { *d = direction{} }

// nonce puts the next record's nonce into p (RFC 8446 section 5.3), and counts the record.
func (d *direction) nonce(p *[nonceSize]byte) []byte {
	*p = d.iv
	for i := range 8 {
		p[nonceSize-1-i] ^= byte(d.seq >> (8 * i))
	}
	d.seq++
	return p[:]
}

// spent reports whether the key has protected as many records as it may.
func (d *direction) spent() bool { return d.seq >= mostRecords }
