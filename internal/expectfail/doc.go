// Package expectfail tests test helpers: it runs a check that must fail, and
// returns its failures.
//
//	got := expectfail.Failure(t, func(t testing.TB) { check(t, bad) })
//	if !strings.Contains(got, "bad") {
//		t.Errorf("the check reports %q", got)
//	}
//
// It guarantees that Fatal ends the check, and that failures of the check are
// not failures of the test. It does not record Fail, FailNow or Skip: those
// reach the test itself.
package expectfail
