//go:build !linux

// Package reactor needs Linux: it is built on epoll, splice and accept4.
package reactor

// This line fails to compile on purpose: the identifier is the error message.
var _ = mcplb_runs_on_Linux_only
