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

	"mcplb/cmd/internal/cli"

	"github.com/spf13/cobra"
)

// followEvery is the time between two reads of a log that is followed.
const followEvery = 100 * time.Millisecond

func tailCommand(in invocation) *cobra.Command {
	c := &cobra.Command{
		Use: "tail [flags] MEMBER", Short: "Show the end of a member's log", Args: cli.Args(1, 1),
		Long:    "Show the end of a member's log. The balancer is the member mcplb.",
		Example: "  mcpcluster tail mcplb\n  mcpcluster tail -f node1",
	}
	state := stateFlag(c)
	lines := c.Flags().IntP("lines", "n", 20, "how many lines, `N`")
	follow := c.Flags().BoolP("follow", "f", false, "continue with what is added, until Ctrl-C")
	c.ValidArgsFunction = completeMembers(in, state)
	c.RunE = func(_ *cobra.Command, args []string) error {
		if *lines < 0 {
			return cli.Misuse("-n must not be negative")
		}
		return showLog(in, logPath(filepath.Join(*state, logsName), args[0]), *lines, *follow)
	}
	return c
}

// showLog prints the last lines of a file and, if follow, what is added to it.
func showLog(in invocation, path string, lines int, follow bool) error {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no log %s: mcpcluster status shows the members, -state names the cluster", path)
	}
	if err != nil {
		return fmt.Errorf("open the log: %w", err)
	}
	defer file.Close()
	text, err := io.ReadAll(file)
	if err == nil {
		_, err = in.stdout.Write(lastLines(text, lines))
	}
	for err == nil && follow {
		select {
		case <-in.running.Done():
			return nil
		case <-time.After(followEvery):
			_, err = io.Copy(in.stdout, file)
		}
	}
	if err != nil {
		return fmt.Errorf("show the log: %w", err)
	}
	return nil
}

// lastLines is the last n lines of text.
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
