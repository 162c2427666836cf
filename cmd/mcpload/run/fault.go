package run

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"sync"
	"time"

	"mcplb/cmd/mcpload/report"
)

// The stages of a fault.
const (
	faultPending = iota
	faultCaused
	faultRepaired
)

// minPatience is how long the balancer is asked, at least, whether it has noticed
// the fault or the repair.
const minPatience = 10 * time.Second

// commandTimeout bounds the commands of the fault and the repair.
const commandTimeout = time.Minute

// faultRun runs the commands that break and repair something, and records when the
// balancer has noticed. Only the run's goroutine calls its methods.
type faultRun struct {
	fault    *Fault
	out      io.Writer // progress
	begin    time.Time // of the run
	patience time.Duration
	stage    int

	working sync.WaitGroup
	mu      sync.Mutex
	marks   []report.Mark // guarded by mu
}

// cause runs the fault's command.
func (f *faultRun) cause() {
	f.stage = faultCaused
	f.start("fault", f.fault.Command)
	f.watch("down", false)
}

// repair runs the repair's command, if there is one.
func (f *faultRun) repair() {
	f.stage = faultRepaired
	if f.fault.Repair != "" {
		f.start("repair", f.fault.Repair)
		f.watch("up", true)
	}
}

// done reports whether there is nothing left to cause or repair.
func (f *faultRun) done() bool { return f.fault.Command == "" || f.stage == faultRepaired }

// wait waits for the commands and the balancer.
func (f *faultRun) wait() { f.working.Wait() }

// start runs a command in the background.
func (f *faultRun) start(what, command string) {
	f.mark(what, command, time.Now())
	fmt.Fprintf(f.out, "%s: %s\n", what, command)
	f.working.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
		defer cancel()
		if output, err := exec.CommandContext(ctx, "sh", "-c", command).CombinedOutput(); err != nil {
			f.mark(what+" failed", fmt.Sprintf("%v: %s", err, output), time.Now())
		}
	})
}

// watch waits in the background until the balancer shows the node as usable or not,
// and marks the time.
func (f *faultRun) watch(what string, usable bool) {
	if f.fault.Admin == "" || f.fault.Node == "" {
		return
	}
	f.working.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), f.patience)
		defer cancel()
		if since, ok := AwaitServer(ctx, f.fault.Admin, f.fault.Node, usable); ok {
			f.mark(what, "", since)
		}
	})
}

func (f *faultRun) mark(what, detail string, at time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.marks = append(f.marks, report.Mark{Seconds: at.Sub(f.begin).Seconds(), What: what, Detail: detail})
}

// all returns the marks.
func (f *faultRun) all() []report.Mark {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.marks)
}

// at returns when something was marked, in seconds of the run; false if it was not.
func (f *faultRun) at(what string) (float64, bool) {
	for _, m := range f.all() {
		if m.What == what {
			return m.Seconds, true
		}
	}
	return 0, false
}

// between returns the seconds between two marks; nil if one is missing.
func (f *faultRun) between(what, then string) *float64 {
	from, began := f.at(what)
	to, ended := f.at(then)
	if !began || !ended {
		return nil
	}
	s := to - from
	return &s
}
