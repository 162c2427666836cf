package main

import (
	"os"
	"runtime"
	"slices"
	"time"

	"mcplb/conf"
	"mcplb/proxy/rules"
)

// warnings returns what is valid in a configuration but probably not intended.
func warnings(c *conf.Config) []string {
	return append(c.Warnings(time.Now()), rules.Warnings(c)...)
}

// prepareTLS prepares the process for the TLS of a configuration and logs the
// configuration's warnings.
//
// An event loop that wakes up needs one of Go's processors (GOMAXPROCS). If TLS
// handshakes compute on all of them, the loop waits until one is preempted, up to
// 10 ms. So there are more processors than loops; the kernel then schedules the loops
// first, because they have slept. GOMAXPROCS in the environment overrides this, but not
// what the loops need themselves: one more than there are loops (reactor.Start).
func (s *server) prepareTLS(c *conf.Config) {
	s.warner.load(c)
	if most := s.proxy.Processors(); speaksTLS(c) && os.Getenv("GOMAXPROCS") == "" && runtime.GOMAXPROCS(0) < most {
		runtime.GOMAXPROCS(most)
	}
}

// speaksTLS reports whether clients or servers are spoken to over TLS.
func speaksTLS(c *conf.Config) bool {
	return slices.ContainsFunc(c.Frontends, func(f conf.Frontend) bool { return f.TLS != nil }) ||
		slices.ContainsFunc(c.Backends, func(b conf.Backend) bool { return b.TLS != nil })
}
