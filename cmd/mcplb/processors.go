package main

import (
	"os"
	"runtime"
	"time"

	"mcplb/conf"
)

// secure prepares the process for the TLS that a configuration asks for, and
// tells what of it clients will not like.
//
// A loop that comes back from waiting needs one of Go's processors
// (GOMAXPROCS), and when handshakes compute on all of them it waits until one
// is taken from them, up to 10 ms. So there are more of them than loops; the
// kernel's scheduler then lets loops go first, for they have slept. Whoever
// sets GOMAXPROCS in the environment has decided otherwise.
func (s *server) secure(c *conf.Config) {
	for _, warning := range c.Warnings(time.Now()) {
		s.log.Warn(warning)
	}
	for _, f := range c.Frontends {
		if most := s.proxy.Processors(); f.TLS != nil && os.Getenv("GOMAXPROCS") == "" && runtime.GOMAXPROCS(0) < most {
			runtime.GOMAXPROCS(most)
		}
	}
}
