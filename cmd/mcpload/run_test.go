package main

import (
	"errors"
	"flag"
	"io"
	"strings"
	"testing"

	"mcplb/cmd/mcpload/run"
)

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
		"-expect-memory a=1 -watch a=1 -expect-spread 5% -expect-p99 1s -from 10.0.0.0/8": "",
	} {
		f := runFlags{Options: run.Defaults()}
		flags := flag.NewFlagSet("mcpload run", flag.ContinueOnError)
		flags.SetOutput(io.Discard)
		f.define(flags)
		err := flags.Parse(strings.Fields(line))
		if err == nil {
			err = errors.Join(noArguments(flags), f.Validate())
		}
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %s", line, err, want)
		}
	}
}
