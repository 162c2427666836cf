package main

import (
	"fmt"

	"mcplb/proxy/reactor"
)

// checkLimit finds out whether the open-files limit has room for the run.
func checkLimit(o *options) error {
	limit, err := reactor.OpenFilesLimit()
	if err != nil {
		return fmt.Errorf("find the open-files limit: %w", err)
	}
	if need := o.files(); need > limit {
		fit := (limit - filesBeside) * o.clients / (need - filesBeside)
		return fmt.Errorf("%d clients (%v) need %d open files and the limit is %d, which is enough for %d: raise it (ulimit -n %d) or ask for fewer (-n %d)",
			o.clients, o.mix, need, limit, fit, need, fit)
	}
	return nil
}
