package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// followEvery is how often a log that is followed is looked at.
const followEvery = 100 * time.Millisecond

// tailCommand is "mcpcluster tail".
func tailCommand(in invocation, args []string) int {
	flags, state := flagsOf(in, "tail", "shows the end of a member's log; mcplb is the balancer's.", "[flags] MEMBER")
	lines := flags.Int("n", 20, "how many `lines`")
	follow := flags.Bool("f", false, "go on showing what is added, until Ctrl-C")
	if status, over := parsed(in, "tail", flags.Parse(args)); over {
		return status
	}
	if flags.NArg() != 1 || *lines < 0 {
		fmt.Fprintln(in.stderr, "mcpcluster tail: name one member; mcpcluster status shows them")
		return 2
	}
	path := logPath(filepath.Join(*state, logsName), flags.Arg(0))
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return failed(in, fmt.Errorf("there is no log %s: mcpcluster status shows the members, -state names the cluster", path))
	}
	if err != nil {
		return failed(in, fmt.Errorf("open the log: %w", err))
	}
	defer file.Close()
	text, err := io.ReadAll(file)
	if err == nil {
		_, err = in.stdout.Write(lastLines(text, *lines))
	}
	for err == nil && *follow {
		select {
		case <-in.running.Done():
			return 0
		case <-time.After(followEvery):
			_, err = io.Copy(in.stdout, file)
		}
	}
	if err != nil {
		return failed(in, fmt.Errorf("show the log: %w", err))
	}
	return 0
}

// lastLines is the end of text that has n lines.
func lastLines(text []byte, n int) []byte {
	at := len(text)
	if bytes.HasSuffix(text, []byte("\n")) {
		at--
	}
	for ; n > 0 && at >= 0; n-- {
		at = bytes.LastIndexByte(text[:at], '\n')
	}
	return text[at+1:]
}
