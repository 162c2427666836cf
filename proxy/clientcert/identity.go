package clientcert

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Identity is who a client is that was asked for a certificate. It is fit for encoding,
// and must not be changed. That of a client that was not asked is nil.
type Identity struct {
	Subject     string // of its certificate, as RFC 4514 writes it; "" = that has none, or there is none
	Fingerprint string // SHA-256 of its certificate in DER form, in lower-case hex; "" = it has shown none
	Verified    uint64 // the ID of the verification; 0 = it was not asked
}

// IdentityOf returns the identity of a client that was asked for a certificate under the
// verification with that ID; c is the one that it has shown, nil = none.
func IdentityOf(c *x509.Certificate, verified uint64) *Identity {
	id := &Identity{Verified: verified}
	if c != nil {
		sum := sha256.Sum256(c.Raw)
		id.Subject, id.Fingerprint = Name(c.RawSubject), hex.EncodeToString(sum[:])
	}
	return id
}

// Verification returns the ID of the verification; 0 = the client was not asked.
func (id *Identity) Verification() uint64 {
	if id == nil {
		return 0
	}
	return id.Verified
}

// Name writes a distinguished name, which is given in DER form, as RFC 4514 says: the
// last part first, special characters escaped. Control characters, and what is no UTF-8,
// are escaped, too, so that a name is one line. A malformed name is "".
func Name(der []byte) string {
	var parts []asn1.RawValue
	if rest, err := asn1.Unmarshal(der, &parts); err != nil || len(rest) > 0 {
		return ""
	}
	var b strings.Builder
	for i := len(parts) - 1; i >= 0; i-- {
		if i < len(parts)-1 {
			b.WriteByte(',')
		}
		if !appendPart(&b, parts[i].FullBytes) {
			return ""
		}
	}
	return b.String()
}

// attribute is one attribute of a name.
type attribute struct {
	Type  asn1.ObjectIdentifier
	Value asn1.RawValue
}

// attributes are those of a relative name, which usually has one.
type attributesSET []attribute

// appendPart writes one relative distinguished name.
func appendPart(b *strings.Builder, der []byte) bool {
	var attributes attributesSET
	if rest, err := asn1.Unmarshal(der, &attributes); err != nil || len(rest) > 0 {
		return false
	}
	for i, a := range attributes {
		if i > 0 {
			b.WriteByte('+')
		}
		name, known := attributeNames[a.Type.String()]
		if !known {
			name = a.Type.String()
		}
		b.WriteString(name)
		b.WriteByte('=')
		if value, isText := textOf(&a.Value); known && isText {
			appendValue(b, value)
		} else {
			b.WriteByte('#')
			b.WriteString(hex.EncodeToString(a.Value.FullBytes))
		}
	}
	return true
}

// attributeNames are the short names of attributes: those of RFC 4514, and others of the
// register that RFC 4520 keeps, as openssl has them.
var attributeNames = map[string]string{
	"2.5.4.3": "CN", "2.5.4.4": "SN", "2.5.4.5": "serialNumber", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST", "2.5.4.9": "STREET",
	"2.5.4.10": "O", "2.5.4.11": "OU", "2.5.4.12": "title", "2.5.4.13": "description", "2.5.4.15": "businessCategory", "2.5.4.17": "postalCode",
	"2.5.4.42": "GN", "2.5.4.43": "initials", "2.5.4.44": "generationQualifier", "2.5.4.46": "dnQualifier", "2.5.4.65": "pseudonym",
	"2.5.4.97": "organizationIdentifier", "0.9.2342.19200300.100.1.1": "UID", "0.9.2342.19200300.100.1.25": "DC", "1.2.840.113549.1.9.1": "emailAddress",
}

// textOf returns the text of a value; isText is false where it is none.
func textOf(value *asn1.RawValue) (text string, isText bool) {
	if value.Class != asn1.ClassUniversal || value.IsCompound {
		return "", false
	}
	switch value.Tag {
	case asn1.TagUTF8String, asn1.TagPrintableString, asn1.TagIA5String, asn1.TagNumericString, asn1.TagGeneralString, tagVisibleString:
		return string(value.Bytes), true
	case asn1.TagT61String:
		return latin1(value.Bytes), true
	case asn1.TagBMPString:
		return wide(value.Bytes, 2)
	case tagUniversalString:
		return wide(value.Bytes, 4)
	}
	return "", false
}

// Tags of strings that package asn1 has no names for.
const (
	tagVisibleString   = 26
	tagUniversalString = 28
)

// latin1 reads what T61 strings hold in practice.
func latin1(p []byte) string {
	runes := make([]rune, len(p))
	for i, c := range p {
		runes[i] = rune(c)
	}
	return string(runes)
}

// wide reads characters of a fixed number of bytes each.
func wide(p []byte, size int) (string, bool) {
	if len(p)%size != 0 {
		return "", false
	}
	var runes []rune
	for ; len(p) > 0; p = p[size:] {
		r := rune(0)
		for _, c := range p[:size] {
			r = r<<8 | rune(c)
		}
		runes = append(runes, r)
	}
	return string(runes), true
}

// appendValue escapes a value (RFC 4514, section 2.4).
func appendValue(b *strings.Builder, value string) {
	for i := 0; i < len(value); {
		r, size := utf8.DecodeRuneInString(value[i:])
		part := value[i : i+size]
		first, last := i == 0, i+size == len(value)
		switch {
		case r == utf8.RuneError && size == 1, unicode.IsControl(r), r == '\u2028', r == '\u2029':
			for _, c := range []byte(part) {
				b.WriteByte('\\')
				b.WriteString(strings.ToUpper(hex.EncodeToString([]byte{c})))
			}
		case strings.ContainsRune(`"+,;<>\`, r), r == ' ' && (first || last), r == '#' && first:
			b.WriteByte('\\')
			b.WriteString(part)
		default:
			b.WriteString(part)
		}
		i += size
	}
}
