package stress

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"mcplb/cmd/mcpload/lab"
	"mcplb/cmd/mcpload/report"
	"mcplb/cmd/mcpload/run"
)

// Options are the suite's parameters.
type Options struct {
	Bin  string        // the directory of the programs; "" = this program's
	Size int           // the number of all connections, at least 4
	Load time.Duration // of each test
	P99  time.Duration // which 99% of the answers must not exceed
	Only string        // the only group to test; "" = all
}

// Validate returns what is wrong with the options, in the words of the command
// line.
func (o *Options) Validate() error {
	if o.Size < 4 {
		return errors.New("-size must be at least 4")
	}
	if o.Only != "" && !slices.ContainsFunc(allTests(), func(t test) bool { return t.group == o.Only }) {
		return fmt.Errorf("there is no group %q", o.Only)
	}
	return nil
}

// test is one test of the suite.
type test struct {
	group, name string
	run         func(s *suite) (string, error) // returns what it found, in words; the error is a failure
}

// suite is the cluster that one test has, and its parameters.
type suite struct {
	*Options
	ctx context.Context
	lab *lab.Lab
}

// Run runs the tests one after the other and prints a table of their results. It
// reports whether all have passed. It stops early, and returns false, when ctx is
// done.
func Run(ctx context.Context, o *Options, stdout, progress io.Writer) (passed bool, err error) {
	if err := o.Validate(); err != nil {
		return false, err
	}
	table := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "GROUP\tTEST\tRESULT\tSECONDS\tFOUND")
	passed = true
	for _, test := range allTests() {
		if o.Only != "" && test.group != o.Only {
			continue
		}
		fmt.Fprintf(progress, "%s: %s\n", test.group, test.name)
		begin := time.Now()
		found, err := o.try(ctx, test)
		result := "ok"
		if err != nil {
			result, found, passed = "FAILED", strings.ReplaceAll(err.Error(), "\n", "; "), false
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%.1f\t%s\n", test.group, test.name, result, time.Since(begin).Seconds(), found)
		if ctx.Err() != nil {
			break
		}
	}
	return passed && ctx.Err() == nil, table.Flush()
}

// try runs a test on a new cluster, which the test starts.
func (o *Options) try(ctx context.Context, test test) (string, error) {
	l, err := lab.New(o.Bin, 4)
	if err != nil {
		return "", err
	}
	defer l.Close()
	return test.run(&suite{Options: o, ctx: ctx, lab: l})
}

// load runs a load on the cluster. An expectation that is not met is an error.
func (s *suite) load(change func(o *run.Options)) (*report.Report, error) {
	o, err := s.lab.Options(s.ctx)
	if err != nil {
		return nil, err
	}
	o.Clients, o.Load, o.Monitor = s.Size, s.Load, 0
	o.Interval = max(time.Second, time.Duration(s.Size)*time.Second/500)
	change(&o)
	r, err := run.Do(s.ctx, &o, io.Discard)
	if err != nil {
		return nil, err
	}
	for _, v := range r.Verdict {
		if !v.OK {
			err = errors.Join(err, fmt.Errorf("%s: %s", v.Expected, v.Found))
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%w (lost: %v)", err, r.Lost)
	}
	return r, nil
}

// awaitServer waits until the balancer shows a node as usable or not, and returns
// since when.
func (s *suite) awaitServer(name string, usable bool, patience time.Duration) (since time.Time, ok bool) {
	ctx, cancel := context.WithTimeout(s.ctx, patience)
	defer cancel()
	return run.AwaitServer(ctx, s.lab.Admin(), name, usable)
}
