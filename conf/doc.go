// Package conf turns the text of lb.toml into immutable values.
//
// A *Config that it returns is complete (every default is filled in), valid
// (every value is in range, every name refers to something in the file) and
// never changes, so any number of goroutines may read it without a lock. The
// package reports all mistakes in a file at once, each with file, line and key.
// It opens no socket and resolves no host name. The only files it reads are the
// configuration itself and those that the configuration names and that must be
// readable (certificates, token).
//
// Load reads a file:
//
//	c, err := conf.Load("lb.toml")
//	if err != nil {
//		return err // FILE:LINE: KEY: reason, one line per mistake
//	}
//
// Diff returns the changes from one Config to the next, for a reload.
//
// A file passes through: scan.go and position.go (where each key is),
// document.go (TOML), schema.go (each key of lb.toml, with its type of value and
// its default), section.go (decoding, defaults and comparison of what schema.go
// describes), valuetype.go (values), validate.go and files.go (checks that
// involve more than one value, or files).
package conf
