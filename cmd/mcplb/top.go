package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"mcplb/cmd/internal/cli"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// topInterval is the time between two updates of top.
const topInterval = time.Second

// screen is what top shows: a part of the lines, which may be more and longer than
// the terminal.
type screen struct {
	lines         []string
	first         int // the line at the top
	width, height int
	sorting       order
}

func (o *operator) topCommand() *cobra.Command {
	return o.remote(&cobra.Command{
		Use: "top [flags]", Short: "Show the state of the balancer live",
		Long: `Show the state of the balancer live, on the complete terminal. Without a terminal,
it is mcplb status.

Keys: q ends, arrows and space scroll, s sorts servers by connections, messages,
latency or as in the file.`,
		Example: "  mcplb top", ValidArgsFunction: cobra.NoFileCompletions,
	}, func([]string) error { return o.top() })
}

// top shows the status live until q is pressed.
func (o *operator) top() error {
	out, isFile := cli.File(o.stdout)
	if !isFile || !term.IsTerminal(int(out.Fd())) || !term.IsTerminal(int(os.Stdin.Fd())) {
		return o.showStatus(false, false)
	}
	if _, err := o.api.status(); err != nil {
		return err // before the terminal is changed
	}
	raw, err := term.MakeRaw(int(os.Stdin.Fd()))
	if err != nil {
		return fmt.Errorf("put the terminal into raw mode: %w", err)
	}
	fmt.Fprint(out, "\x1b[?1049h\x1b[?25l")
	defer func() {
		fmt.Fprint(out, "\x1b[?25h\x1b[?1049l")
		_ = term.Restore(int(os.Stdin.Fd()), raw)
	}()
	return o.topLoop(out, readKeys())
}

// readKeys returns a channel of the keys that are pressed. Its goroutine ends with
// standard input or with the process.
func readKeys() <-chan string {
	keys := make(chan string)
	go func() {
		defer close(keys)
		var buffer [16]byte
		for {
			n, err := os.Stdin.Read(buffer[:])
			if err != nil {
				return
			}
			keys <- string(buffer[:n])
		}
	}()
	return keys
}

func (o *operator) topLoop(out *os.File, keys <-chan string) error {
	ticker := time.NewTicker(topInterval)
	defer ticker.Stop()
	var s screen
	for {
		s.width, s.height, _ = term.GetSize(int(out.Fd()))
		if err := o.update(&s); err != nil {
			return err
		}
		if _, err := out.WriteString(s.draw()); err != nil {
			return err
		}
		select {
		case <-ticker.C:
		case key, ok := <-keys:
			if !ok || !s.press(key) {
				return nil
			}
		}
	}
}

// update fetches the lines to show. A balancer that does not answer may come back,
// so that is shown, not returned.
func (o *operator) update(s *screen) error {
	status, err := o.api.status()
	var unreachable *unreachableError
	switch {
	case errors.As(err, &unreachable):
		s.lines = []string{"mcplb: " + err.Error()}
		return nil
	case err != nil:
		return err
	}
	var text bytes.Buffer
	writeStatus(&text, status, s.sorting)
	s.lines = strings.Split(strings.TrimRight(text.String(), "\n"), "\n")
	return nil
}

// press handles a key and reports whether to continue.
func (s *screen) press(key string) bool {
	switch key {
	case "q", "Q", "\x03", "\x1b":
		return false
	case "j", "\x1b[B":
		s.first++
	case "k", "\x1b[A":
		s.first--
	case " ", "\x1b[6~":
		s.first += s.height - 2
	case "b", "\x1b[5~":
		s.first -= s.height - 2
	case "g", "\x1b[H":
		s.first = 0
	case "s":
		s.sorting = (s.sorting + 1) % orders
	}
	return true
}

// draw returns the complete screen with its control sequences.
func (s *screen) draw() string {
	rows := max(s.height-1, 1) // the last row is the legend
	s.first = max(min(s.first, len(s.lines)-rows), 0)
	var out strings.Builder
	out.WriteString("\x1b[H")
	for i := range rows {
		line := ""
		if at := s.first + i; at < len(s.lines) {
			line = s.lines[at]
		}
		out.WriteString(coloured(clip(line, s.width)) + "\x1b[K\r\n")
	}
	legend := fmt.Sprintf(" q quit  s sort (%s)  arrows, space scroll  %s ", s.sorting, time.Now().Format(time.TimeOnly))
	out.WriteString("\x1b[7m" + clip(legend, s.width) + "\x1b[0m\x1b[K")
	return out.String()
}

// clip cuts a line to a width.
func clip(line string, width int) string {
	if width <= 0 || utf8.RuneCountInString(line) <= width {
		return line
	}
	return string([]rune(line)[:width])
}

// headings begin the lines above tables.
var headings = []string{"FRONTEND ", "BACKEND ", "SERVER ", "LIMITED SOURCE ", "BANNED SOURCE "}

// coloured highlights lines that an operator must not miss.
func coloured(line string) string {
	switch {
	case strings.HasPrefix(line, "CRITICAL"), strings.Contains(line, "  down"):
		return "\x1b[31m" + line + "\x1b[0m"
	case strings.HasPrefix(line, "DEGRADED"), strings.Contains(line, "suspect"):
		return "\x1b[33m" + line + "\x1b[0m"
	case slices.ContainsFunc(headings, func(heading string) bool { return strings.HasPrefix(line, heading) }):
		return "\x1b[1m" + line + "\x1b[0m"
	}
	return line
}
