// Package redistest runs a Redis server for a test, on a port of its own, and a TCP proxy
// in front of it that can lose every packet.
//
//	server := redistest.Start(t) // skips the test without redis-server
//
// It guarantees that both have ended when the test has. It knows nothing of what is stored.
package redistest
