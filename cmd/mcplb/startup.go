package main

import (
	"errors"
	"fmt"
	"os"

	"mcplb/proxy/handover"
)

// The progress of a start. A signal to stop that comes before this process serves
// ends it at once, whatever it waits for, unless it is taking over from an old
// process: that takes a moment, and must not be left halfway.
//
//	progress  event              next
//	starting  all is prepared    taking
//	starting  TERM, INT          abandoned: the process ends
//	taking    it serves          (server.obey)
const (
	starting int32 = iota
	taking
	abandoned
)

// startup is the outcome of a start.
type startup struct {
	status int         // exitOK: the server serves
	old    *oldProcess // nil = none
	early  []os.Signal // to stop, that came while it was taking over
}

// run starts the server, serves until it is stopped, and returns the exit status.
func (s *server) run(options handover.ProcessOptions, signals *signals) int {
	var err error
	if s.process, err = handover.NewProcess(options); err != nil {
		return s.cannotStart(err)
	}
	begun := make(chan startup, 1)
	go func() { begun <- s.startup() }()
	var early []os.Signal
	for {
		select {
		case result := <-begun:
			result.early = early
			return s.runFrom(result, signals)
		case sig := <-signals.stop:
			if s.progress.CompareAndSwap(starting, abandoned) {
				return s.stopEarly(sig)
			}
			early = append(early, sig)
		}
	}
}

// runFrom serves after a start, if it has succeeded.
func (s *server) runFrom(begun startup, signals *signals) int {
	switch {
	case begun.status == exitOK:
		defer s.process.Forget()
		return s.serve(signals, begun)
	case len(begun.early) > 0: // the old process serves, and is to stop, too
		return s.stopEarly(begun.early[0])
	}
	return begun.status
}

// startup starts the server: everything that may take long, or fail.
func (s *server) startup() startup {
	config, err := loadConfig(s.paths, s.stderr)
	if err != nil {
		return startup{status: exitUsage}
	}
	s.style.apply(config.Global)
	s.config, s.started = config, config.Global
	old, err := s.begin()
	if err != nil {
		return startup{status: s.cannotStart(err)}
	}
	return startup{old: old}
}

// cannotStart reports why this process does not serve.
func (s *server) cannotStart(err error) int {
	fmt.Fprintln(s.stderr, "mcplb: cannot start:", err)
	return exitError
}

var errAbandoned = errors.New("a signal has ended the start")

// commit ends the part of the start in which a signal ends it at once.
func (s *server) commit() error {
	if !s.progress.CompareAndSwap(starting, taking) {
		return errAbandoned
	}
	return nil
}

// stopEarly ends this process, which does not serve. An old process must learn of the
// signal: it would continue to serve, although the balancer is to stop.
func (s *server) stopEarly(sig os.Signal) int {
	s.log.Info("stopped before it served", "signal", sig.String())
	if s.process.Upgrades() {
		s.stderr.Close(lastWords)
		handover.EndBySignal(sig)
	}
	return exitOK
}
