package clientcert

import (
	"crypto/sha256"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"mcplb/internal/certificate"
)

// attributeOf is one attribute of a name that a test makes.
func attributeOf(oid asn1.ObjectIdentifier, value any) pkix.AttributeTypeAndValue {
	return pkix.AttributeTypeAndValue{Type: oid, Value: value}
}

var (
	oidCN = asn1.ObjectIdentifier{2, 5, 4, 3}
	oidO  = asn1.ObjectIdentifier{2, 5, 4, 10}
	oidOU = asn1.ObjectIdentifier{2, 5, 4, 11}
)

// TestName checks names as servers get them. The first three are the examples of RFC
// 4514, section 4.
func TestName(t *testing.T) {
	t.Parallel()
	dc := asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 25}
	ia5 := func(s string) asn1.RawValue { return asn1.RawValue{Tag: asn1.TagIA5String, Bytes: []byte(s)} }
	raw := func(tag int, s string) asn1.RawValue { return asn1.RawValue{Tag: tag, Bytes: []byte(s)} }
	one := func(oid asn1.ObjectIdentifier, value any) pkix.RelativeDistinguishedNameSET {
		return pkix.RelativeDistinguishedNameSET{attributeOf(oid, value)}
	}
	for want, name := range map[string]pkix.RDNSequence{
		"UID=jsmith,DC=example,DC=net":                   {one(dc, ia5("net")), one(dc, ia5("example")), one(asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1}, "jsmith")},
		`CN=James \"Jim\" Smith\, III,DC=example,DC=net`: {one(dc, ia5("net")), one(dc, ia5("example")), one(oidCN, `James "Jim" Smith, III`)},
		`CN=Before\0DAfter,DC=example,DC=net`:            {one(dc, ia5("net")), one(dc, ia5("example")), one(oidCN, "Before\rAfter")},
		"1.3.6.1.4.1.1466.0=#04024869":                   {one(asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 1466, 0}, asn1.RawValue{Tag: asn1.TagOctetString, Bytes: []byte("Hi")})},
		"1.2.3.4=#0c0161":                                {one(asn1.ObjectIdentifier{1, 2, 3, 4}, raw(asn1.TagUTF8String, "a"))},
		"CN=alice,O=Example,C=DE":                        {one(asn1.ObjectIdentifier{2, 5, 4, 6}, "DE"), one(oidO, "Example"), one(oidCN, "alice")},
		"CN=a+OU=b":                                      {{attributeOf(oidOU, "b"), attributeOf(oidCN, "a")}},
		`CN=\ a \ `:                                      {one(oidCN, " a  ")},
		`CN=\#a#`:                                        {one(oidCN, "#a#")},
		`CN=a\\b\+c\<d\>e\;f=g`:                          {one(oidCN, `a\b+c<d>e;f=g`)},
		`CN=a\0Ab\00c\7F`:                                {one(oidCN, raw(asn1.TagUTF8String, "a\nb\x00c\x7f"))},
		"CN=Lučić":                                       {one(oidCN, "Lučić")},
		`CN=\C2\85x`:                                     {one(oidCN, raw(asn1.TagUTF8String, "\u0085x"))},
		`CN=a\FFb`:                                       {one(oidCN, raw(asn1.TagUTF8String, "a\xffb"))},
		"CN=é":                                           {one(oidCN, raw(asn1.TagT61String, "\xe9"))},
		"CN=ŝ":                                           {one(oidCN, raw(asn1.TagBMPString, "\x01\x5d"))},
		"CN=#1e0101":                                     {one(oidCN, raw(asn1.TagBMPString, "\x01"))},
		"emailAddress=a@b.test":                          {one(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}, ia5("a@b.test"))},
		"CN=":                                            {one(oidCN, "")},
		"":                                               {},
	} {
		der, err := asn1.Marshal(name)
		if err != nil {
			t.Fatal(want, err)
		}
		if got := Name(der); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// TestIdentityOf checks the fingerprint that openssl x509 -fingerprint -sha256 shows, but
// for its colons and case.
func TestIdentityOf(t *testing.T) {
	t.Parallel()
	c := certificate.Sign(t, nil, certificate.ECDSA(t), certificate.Options{Subject: pkix.Name{CommonName: "alice", Organization: []string{"A, B"}}})
	got := IdentityOf(c.Leaf, 7)
	if got.Subject != `CN=alice,O=A\, B` || got.Fingerprint != fmt.Sprintf("%x", sha256.Sum256(c.Leaf.Raw)) {
		t.Errorf("got %+v", got)
	}
	if *IdentityOf(nil, 7) != (Identity{Verified: 7}) || (*Identity)(nil).Verification() != 0 {
		t.Error("nobody has an identity")
	}
}

// FuzzName checks that no name, however it is encoded, could end a line or is not text.
func FuzzName(f *testing.F) {
	for _, value := range []string{"alice", "a\r\nX-Admin: 1", "", "\xff", " #"} {
		der, err := asn1.Marshal(pkix.RDNSequence{{attributeOf(oidCN, asn1.RawValue{Tag: asn1.TagUTF8String, Bytes: []byte(value)})}})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(der)
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		name := Name(der)
		if !utf8.ValidString(name) || strings.IndexFunc(name, unicode.IsControl) >= 0 {
			t.Errorf("%q", name)
		}
	})
}
