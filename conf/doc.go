// Package conf turns the text of lb.toml into immutable values.
//
// It guarantees that a *Config it returns is complete (every default filled
// in), valid (every value in range, every name resolved to something that
// exists in the file) and never changes afterwards, so that any number of
// goroutines may read it without a lock. It reports every mistake of a file
// at once, each with file, line and key. It opens no socket and resolves no
// host name; the only files it reads are the configuration itself and those
// that the configuration names and that must be readable (certificates, token).
//
// Load reads a file; Diff tells what leads from one Config to the next. Each
// key of lb.toml is one row of schema.go, with its kind of value and its
// default; validate.go and files.go have what no single value can tell.
package conf
