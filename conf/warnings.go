package conf

import (
	"fmt"
	"os"
	"time"
)

// Warnings returns what is valid but probably not intended: certificates that
// clients refuse at the time now, or will soon, and keys that every user may
// read. Each is one line for the log, without file and line.
func (c *Config) Warnings(now time.Time) []string {
	var found []string
	for _, f := range c.Frontends {
		if f.TLS == nil {
			continue
		}
		for i := range f.TLS.Certificates {
			at := element(join("frontend", f.Name)+".tls.certificates", i)
			for _, warning := range f.TLS.Certificates[i].warnings(now) {
				found = append(found, at+": "+warning)
			}
		}
	}
	return found
}

// soon is how long before a certificate's end its warning begins.
const soon = 7 * 24 * time.Hour

func (c *Certificate) warnings(now time.Time) (found []string) {
	leaf := c.Pair.Leaf
	from, until := leaf.NotBefore.UTC().Format(time.RFC3339), leaf.NotAfter.UTC().Format(time.RFC3339)
	switch {
	case now.After(leaf.NotAfter):
		found = append(found, fmt.Sprintf("%s was valid until %s: clients refuse it; renew it and reload", quoted(c.Cert), until))
	case now.Before(leaf.NotBefore):
		found = append(found, fmt.Sprintf("%s is not valid before %s: clients refuse it; is the clock right?", quoted(c.Cert), from))
	case now.After(leaf.NotAfter.Add(-soon)):
		found = append(found, fmt.Sprintf("%s is valid until %s: renew it and reload", quoted(c.Cert), until))
	}
	if info, err := os.Stat(c.Key); err == nil && info.Mode().Perm()&0o007 != 0 {
		found = append(found, fmt.Sprintf("%s can be read or written by every user of this machine (mode %04o): chmod o= it", quoted(c.Key), info.Mode().Perm()))
	}
	return found
}
