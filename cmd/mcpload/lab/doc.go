// Package lab starts a real cluster to measure and to test: a balancer and four
// nodes by default, run by mcpcluster on loopback addresses of this process alone.
package lab
