package main

import (
	"os"
	"runtime"
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
	for _, warning := range warnings(c) {
		s.log.Warn(warning)
	}
	for _, f := range c.Frontends {
		if most := s.proxy.Processors(); f.TLS != nil && os.Getenv("GOMAXPROCS") == "" && runtime.GOMAXPROCS(0) < most {
			runtime.GOMAXPROCS(most)
		}
	}
}
