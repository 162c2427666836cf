// Package harness is what the tests of proxy/l4 and proxy/l7 stand on alike: an engine
// whose time a test can stop, the limits, the access log, and at the end of a
// test the check that nothing is left of any session.
//
//	s := harness.NewSetup(limits)
//	s.StopTime()
//	r := harness.Start(t, s)
//	r.Listen("127.0.0.1:0", frontend, nil)
//	r.Advance(time.Minute)
//
// A test package embeds a Harness in a bed of its own, which adds the frontend and
// what is behind it, and whose cleanup calls CheckEmpty and Stop. The methods of
// a Harness are for the test's goroutine.
package harness
