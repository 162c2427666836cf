package conf

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// Stdin is the path that means standard input.
const Stdin = "-"

// readStdin reads standard input, at most most bytes. A pipe can be read only once: what
// came is kept in memory that takes its place as descriptor 0, so that a reload, and the
// new process of an upgrade, which inherits the descriptor, read the same again. A file
// is read from its beginning each time.
func readStdin(most int64) ([]byte, error) {
	info, err := os.Stdin.Stat()
	if err != nil {
		return nil, fmt.Errorf("standard input cannot be read: %w", err)
	}
	if info.Mode().IsRegular() {
		return readLimited(io.NewSectionReader(os.Stdin, 0, most+1), most)
	}
	if info.Mode()&os.ModeCharDevice != 0 {
		return nil, errors.New("standard input is a terminal or a device: write mcplb -c - < FILE, or COMMAND | mcplb -c -")
	}
	text, err := readLimited(os.Stdin, most)
	if err != nil {
		return nil, err
	}
	if err := keepStdin(text); err != nil {
		return nil, fmt.Errorf("keeping standard input for reloads: %w", err)
	}
	return text, nil
}

func readLimited(from io.Reader, most int64) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(from, most+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("standard input cannot be read: %w", err)
	case int64(len(text)) > most:
		return nil, fmt.Errorf("standard input is too large: it may have %d MiB", most/megabyte)
	}
	return text, nil
}
