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
	"slices"

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

// place is the suite's place in layerSuites.
func (s *suite) place() uint8 {
	return uint8(slices.IndexFunc(layerSuites[:], func(t suite) bool { return t.id == s.id }))
}

// expandKeys derives key and IV from a traffic secret.
func (s *suite) expandKeys(secret []byte) *keys {
	k := &keys{}
	copy(k.iv[:], s.expand(secret, "iv", nonceSize))
	key := s.expand(secret, "key", s.key)
	aead, err := s.aead(key)
	if err != nil {
		panic(err) // of a key that has the size of its cipher
	}
	clear(key)
	k.aead = aead
	return k
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
// direction is in use: see rest.
type direction struct {
	keys   *keys          // nil = not derived
	seq    uint64         // of the next record, under this secret
	secret [mostHash]byte // its first bytes, as many as the suite's secrets have
	suite  uint8          // its place in layerSuites
	used   bool           // since the last rest
}

// keys is what a traffic secret is expanded to (RFC 8446 section 7.3).
type keys struct {
	aead cipher.AEAD
	iv   [nonceSize]byte
}

// set begins with a secret, whose first record has the number seq.
func (d *direction) set(s *suite, secret []byte, seq uint64) error {
	if s == nil || len(secret) != s.secret {
		return fmt.Errorf("a traffic secret of %d bytes does not fit the cipher suite", len(secret))
	}
	*d = direction{suite: s.place(), seq: seq}
	copy(d.secret[:], secret)
	return nil
}

// of is the suite that the secret belongs to.
func (d *direction) of() *suite { return &layerSuites[d.suite] }

// present is the traffic secret.
func (d *direction) present() []byte { return d.secret[:d.of().secret] }

// cipher returns the cipher of the next record, which it derives unless that was done.
func (d *direction) cipher() cipher.AEAD {
	d.used = true
	if d.keys == nil {
		d.keys = d.of().expandKeys(d.present())
	}
	return d.keys.aead
}

// update continues with the next generation of the secret (RFC 8446 section 7.2).
func (d *direction) update() {
	next := d.of().expand(d.present(), "traffic upd", d.of().secret)
	_ = d.set(d.of(), next, 0) // its size is that of the suite
	clear(next)
}

// rest gives up what can be derived again (800 bytes with AES-GCM), unless it was used
// since the last call. It reports whether nothing is left to give up.
func (d *direction) rest() bool {
	if !d.used {
		d.keys = nil
	}
	d.used = false
	return d.keys == nil
}

// wipe forgets the secret.
func (d *direction) wipe() { *d = direction{} }

// nonce puts the next record's nonce into p (RFC 8446 section 5.3), and counts the
// record. The cipher must be there.
func (d *direction) nonce(p *[nonceSize]byte) []byte {
	*p = d.keys.iv
	for i := range 8 {
		p[nonceSize-1-i] ^= byte(d.seq >> (8 * i))
	}
	d.seq++
	return p[:]
}

// spent reports whether the key has protected as many records as it may.
func (d *direction) spent() bool { return d.seq >= mostRecords }
