// Package build reports what a program was built from.
package build
