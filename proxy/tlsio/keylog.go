package tlsio

import (
	"bytes"
	"crypto/tls"
	"encoding/hex"
)

// secrets are the first traffic secrets of one connection, as crypto/tls reports them
// to its KeyLogWriter. Each handshake has a writer of its own, in memory: nothing is
// written anywhere, whatever SSLKEYLOGFILE says. The zero value has none.
type secrets struct{ client, server []byte }

// Write implements io.Writer for tls.Config.KeyLogWriter. A line is a label, the
// client's random bytes and a secret, the latter two in hexadecimal (the format of SSLKEYLOGFILE).
func (s *secrets) Write(line []byte) (int, error) {
	fields := bytes.Fields(line)
	if len(fields) != 3 {
		return len(line), nil
	}
	switch string(fields[0]) {
	case "CLIENT_TRAFFIC_SECRET_0":
		s.client = unhex(fields[2])
	case "SERVER_TRAFFIC_SECRET_0":
		s.server = unhex(fields[2])
	}
	return len(line), nil
}

// unhex returns nil for what is not hexadecimal: such a secret fits no suite.
func unhex(p []byte) []byte {
	out := make([]byte, hex.DecodedLen(len(p)))
	if _, err := hex.Decode(out, p); err != nil {
		return nil
	}
	return out
}

// wipe forgets the secrets.
func (s *secrets) wipe() {
	clear(s.client)
	clear(s.server)
	*s = secrets{}
}

// reportTo returns settings under which a handshake reports its secrets.
func (s *secrets) reportTo(c *tls.Config) *tls.Config {
	c = c.Clone()
	c.KeyLogWriter = s
	return c
}
