// Package expectfail tests the checks that tests make: a check that cannot fail
// checks nothing.
//
//	if got := expectfail.Failure(t, func(t testing.TB) { check(t, bad) }); !strings.Contains(got, "bad") {
package expectfail
