// Package leak fails a package's tests if they leave a goroutine or an open
// file descriptor behind. Every TestMain of this module calls Main:
//
//	func TestMain(m *testing.M) { leak.Main(m) }
//
// It compares the state before all tests with the state after them: it does not
// say which test is responsible.
package leak
