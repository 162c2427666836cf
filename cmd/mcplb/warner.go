package main

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"mcplb/conf"
)

// warnEvery is how often a configuration that is in force is looked at again: it does
// not change, but certificates expire, and revocation lists get old.
const warnEvery = time.Hour

// warner logs what is doubtful about the configuration in force: all of it when it is
// loaded, and later what has become so. Any goroutine may use it.
type warner struct {
	log  *slog.Logger
	find func(*conf.Config) []string // at the present time

	mu     sync.Mutex      // guards what follows
	config *conf.Config    // nil = none yet
	logged map[string]bool // of that configuration
}

// load notes that a configuration is in force from now on.
func (w *warner) load(c *conf.Config) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.config, w.logged = c, map[string]bool{}
	w.look()
}

// look logs what was not logged yet. The caller holds mu.
func (w *warner) look() {
	for _, warning := range w.find(w.config) {
		if !w.logged[warning] {
			w.logged[warning] = true
			w.log.Warn(warning)
		}
	}
}

// run looks again and again until ctx ends. A configuration must have been loaded.
func (w *warner) run(ctx context.Context) {
	repeat(ctx, warnEvery, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.look()
	})
}
