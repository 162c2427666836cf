//go:build !linux

package doctor

import "errors"

// clockSynchronized is for builds on other systems, which are to end with the message
// of package reactor alone.
func clockSynchronized() (bool, error) { return false, errors.ErrUnsupported }
