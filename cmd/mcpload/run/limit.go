package run

import (
	"fmt"

	"mcplb/proxy/reactor"
)

// otherFiles is a generous number of descriptors that a process has besides those
// of its clients.
const otherFiles = 100

// files returns how many descriptors the run needs.
func (o *Options) files() int {
	pattern := o.Mix.Pattern()
	sum := 0
	for _, k := range pattern {
		sum += k.Files()
	}
	return o.Clients*sum/len(pattern) + otherFiles
}

// checkLimit returns an error if the open-files limit is too low for the run.
func (o *Options) checkLimit() error {
	limit, err := reactor.OpenFilesLimit()
	if err != nil {
		return fmt.Errorf("find the open-files limit: %w", err)
	}
	if need := o.files(); need > limit {
		fit := (limit - otherFiles) * o.Clients / (need - otherFiles)
		return fmt.Errorf("%d clients (%v) need %d open files and the limit is %d, which is enough for %d: raise it (ulimit -n %d) or ask for fewer (-n %d)",
			o.Clients, o.Mix, need, limit, fit, need, fit)
	}
	return nil
}
