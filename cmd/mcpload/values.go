package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"mcplb/cmd/mcpload/report"
	"mcplb/cmd/mcpload/run"
)

// percentTo returns a flag's function that reads a percentage.
func percentTo(to *float64) func(string) error {
	return func(text string) error {
		n, err := strconv.ParseFloat(strings.TrimSuffix(text, "%"), 64)
		if err != nil || n <= 0 {
			return fmt.Errorf("%q is no percentage above zero, such as 2%%", text)
		}
		*to = n
		return nil
	}
}

// watchList is the value of -watch.
type watchList []run.Watched

// Type implements pflag.Value.
func (*watchList) Type() string { return "name=pid" }

// String implements pflag.Value.
func (l *watchList) String() string {
	var parts []string
	for _, w := range *l {
		parts = append(parts, w.Name+"="+strconv.Itoa(w.PID))
	}
	return strings.Join(parts, ",")
}

// Set implements pflag.Value: it adds processes.
func (l *watchList) Set(text string) error {
	for part := range strings.SplitSeq(text, ",") {
		name, number, ok := strings.Cut(part, "=")
		pid, err := strconv.Atoi(number)
		if number == "self" {
			pid, err = os.Getpid(), nil
		}
		if !ok || err != nil || pid < 1 {
			return fmt.Errorf("%q is not name=pid", part)
		}
		*l = append(*l, run.Watched{Name: name, PID: pid})
	}
	return nil
}

// memoryList is the value of -expect-memory.
type memoryList []report.MemoryLimit

// Type implements pflag.Value.
func (*memoryList) Type() string { return "name=MB" }

// String implements pflag.Value.
func (l *memoryList) String() string {
	var parts []string
	for _, m := range *l {
		parts = append(parts, fmt.Sprintf("%s=%g", m.Name, m.MB))
	}
	return strings.Join(parts, ",")
}

// Set implements pflag.Value: it adds limits.
func (l *memoryList) Set(text string) error {
	for part := range strings.SplitSeq(text, ",") {
		name, number, ok := strings.Cut(part, "=")
		limit, err := strconv.ParseFloat(number, 64)
		if !ok || err != nil || limit <= 0 {
			return fmt.Errorf("%q is not name=MB", part)
		}
		*l = append(*l, report.MemoryLimit{Name: name, MB: limit})
	}
	return nil
}

// completeValues completes the values of a flag.
func completeValues(c *cobra.Command, flag string, values ...cobra.Completion) {
	_ = c.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)) // the flag exists
}

// completeDirectories completes the values of flags with directories.
func completeDirectories(c *cobra.Command, flags ...string) {
	for _, flag := range flags {
		_ = c.MarkFlagDirname(flag) // the flag exists
	}
}
