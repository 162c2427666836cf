package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/term"
)

// topInterval is how often top looks.
const topInterval = time.Second

// screen is what top shows: a window on lines that may be more and longer than
// the terminal.
type screen struct {
	lines         []string
	first         int // the line at the top
	width, height int
	sorting       order
}

// top shows the status live until q is pressed.
func top(o *operator, args []string) error {
	if err := need(args, 0, 0); err != nil {
		return err
	}
	out, isFile := o.stdout.(*os.File)
	if !isFile || !term.IsTerminal(int(out.Fd())) || !term.IsTerminal(int(os.Stdin.Fd())) {
		return o.statusOnce()
	}
	if _, err := o.api.status(); err != nil {
		return err // before the screen is taken
	}
	raw, err := term.MakeRaw(int(os.Stdin.Fd()))
	if err != nil {
		return fmt.Errorf("taking over the terminal: %w", err)
	}
	fmt.Fprint(out, "\x1b[?1049h\x1b[?25l")
	defer func() {
		fmt.Fprint(out, "\x1b[?25h\x1b[?1049l")
		_ = term.Restore(int(os.Stdin.Fd()), raw)
	}()
	return o.topLoop(out, readKeys())
}

// readKeys passes on what is pressed. It ends with the process.
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
		if err := o.look(&s); err != nil {
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

// look fetches what is to be shown. A balancer that does not answer may come
// back: that is shown, too.
func (o *operator) look(s *screen) error {
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

// press obeys a key, and tells whether to go on.
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

// draw is the whole screen as a terminal takes it.
func (s *screen) draw() string {
	rows := max(s.height-1, 1) // the last is the legend
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

// coloured marks lines that an operator must not miss.
func coloured(line string) string {
	switch {
	case strings.HasPrefix(line, "CRITICAL"), strings.Contains(line, "  down"):
		return "\x1b[31m" + line + "\x1b[0m"
	case strings.HasPrefix(line, "DEGRADED"), strings.Contains(line, "suspect"):
		return "\x1b[33m" + line + "\x1b[0m"
	case strings.HasPrefix(line, "FRONTEND "), strings.HasPrefix(line, "BACKEND "), strings.HasPrefix(line, "SERVER "):
		return "\x1b[1m" + line + "\x1b[0m"
	}
	return line
}
