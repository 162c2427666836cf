//go:build !linux

// Package reactor needs Linux: epoll, splice and accept4 are what it is made of.
package reactor

// The next line does not compile on purpose: it is the message.
var _ = mcplb_runs_on_Linux_only
