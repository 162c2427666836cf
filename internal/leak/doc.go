// Package leak fails a package's tests when they leave a goroutine or an open
// file descriptor behind. Every TestMain of this module calls Main.
package leak
