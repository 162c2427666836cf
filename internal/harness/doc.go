// Package harness holds what the tests of proxy/l4 and proxy/l7 share: an
// engine whose time a test can stop, the limits, the access log, and a check at
// the end of a test that nothing is left of any session.
//
//	s := harness.NewSetup(limits)
//	s.StopTime()
//	h := harness.Start(t, s)
//	h.Listen("127.0.0.1:0", frontend, nil)
//	h.Advance(time.Minute)
//
// A test package embeds a Harness in its own fixture, which adds the frontend
// and its servers, and whose cleanup calls CheckEmpty and Stop.
//
// It guarantees that stopped time moves only by Advance, and that Advance
// returns after every timer that is due has run. The methods of a Harness are
// for the test's goroutine. The package starts no frontends and no servers.
package harness
