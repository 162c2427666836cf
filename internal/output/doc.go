// Package output collects what a program writes, for a test to wait for.
package output
