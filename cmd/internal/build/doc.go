// Package build reports the version of a program, and what it was built from.
package build
