package main

import (
	"os"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"mcplb/cmd/mcpload/clients"
	"mcplb/cmd/mcpload/run"
)

// A wrong command line is refused, with what is wrong.
func TestRunFlags(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"-n 0":                     "-n must",
		"-rate 0":                  "-rate must",
		"-load -1s":                "negative",
		"-mix x":                   "no kind",
		"-message x":               "there are whoami",
		"-from 127.0.0.0/30":       "fewer than",
		"-tcp nowhere":             "write host:port",
		"-fault true -fault-at 1h": "within -load",
		"-watch x":                 "name=pid",
		"-expect-memory x":         "name=MB",
		"-expect-distribution 0":   "above zero",
		"extra":                    "unexpected argument",
		"-clientz 5":               "unknown flag",
	} {
		if _, stderr := do(t, 2, append([]string{"run"}, strings.Fields(line)...)...); !strings.Contains(stderr, want) {
			t.Errorf("%s: %s, want %s", line, stderr, want)
		}
	}
}

// Flags set the options that they are named after.
func TestRunFlagValues(t *testing.T) {
	t.Parallel()
	f := runFlags{Options: run.Defaults()}
	flags := pflag.NewFlagSet("run", pflag.ContinueOnError)
	f.define(flags)
	if err := flags.Parse(strings.Fields("--expect-memory a=1,b=2.5 --watch a=1 --watch b=self --expect-spread 5% --expect-p99 1s --from 10.0.0.0/8 --message echo --mix ws,sse=2 --clients 7")); err != nil {
		t.Fatal(err)
	}
	if err := f.Validate(); err != nil {
		t.Error(err)
	}
	if f.Clients != 7 || f.Message != clients.Echo || f.Mix.String() != "ws=1,sse=2" || f.Expect.Spread != 5 || f.From.Bits() != 8 {
		t.Errorf("%+v", f.Options)
	}
	if len(f.Expect.Memory) != 2 || f.Expect.Memory[1].MB != 2.5 || len(f.Watch) != 2 || f.Watch[1].PID != os.Getpid() {
		t.Errorf("%+v, %+v", f.Expect.Memory, f.Watch)
	}
}
