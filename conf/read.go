package conf

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"
)

const (
	// mostConfig is the largest configuration file: about a thousand times a large
	// one. Its values take ten times its size in memory.
	mostConfig = 16 * megabyte
	// MostSmall is the size of the largest certificate chain, key or token, in bytes.
	MostSmall = megabyte
	// readTime is how long a file may let its reader wait that calls itself regular, as
	// /proc/kmsg does.
	readTime = time.Second
)

// ReadFile reads a regular file of at most most bytes. It refuses what is no file
// without reading from it: a pipe, a terminal or a device could block a reload for
// ever or never end. Its errors name the path and say what is allowed.
func ReadFile(path string, most int64) ([]byte, error) {
	info, err := os.Stat(path) // opening some devices has effects
	if err == nil {
		err = checkKind(path, info, most)
	}
	if err != nil {
		return nil, explainFile(path, err)
	}
	// The path may name something else by now: without O_NONBLOCK, opening a pipe
	// would wait for its writer.
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, explainFile(path, err)
	}
	defer file.Close()
	if info, err = file.Stat(); err == nil {
		err = checkKind(path, info, most)
	}
	if err != nil {
		return nil, explainFile(path, err)
	}
	// A file of /proc may have no end, or wait for something to say. The deadline fails
	// for files that never wait, which need none.
	_ = file.SetReadDeadline(time.Now().Add(readTime))
	text, err := io.ReadAll(io.LimitReader(file, most+1))
	if err != nil {
		return nil, explainFile(path, err)
	}
	if int64(len(text)) > most { // it grew meanwhile
		return nil, errNoFile(path, "too large", most)
	}
	return text, nil
}

// checkKind refuses what is no regular file, and a file that is too large.
func checkKind(path string, info fs.FileInfo, most int64) error {
	if kind := kindOf(info.Mode()); kind != "" {
		return errNoFile(path, kind, most)
	}
	if info.Size() > most {
		return errNoFile(path, "too large", most)
	}
	return nil
}

func errNoFile(path, is string, most int64) error {
	size := fmt.Sprintf("%d MiB", most/megabyte)
	if most < megabyte {
		size = fmt.Sprintf("%d KiB", most/kilobyte)
	}
	return fmt.Errorf("%s is %s: it must be a regular file of at most %s", quoted(path), is, size)
}

// kindOf names what is no regular file, "" for one that is.
func kindOf(mode fs.FileMode) string {
	switch {
	case mode.IsRegular():
		return ""
	case mode.IsDir():
		return "a directory"
	case mode&fs.ModeNamedPipe != 0:
		return "a pipe"
	case mode&fs.ModeSocket != 0:
		return "a socket"
	}
	return "a device"
}

// explainFile returns the operating system's error for path; it leaves other
// errors as they are.
func explainFile(path string, err error) error {
	var wrong *os.PathError
	if !errors.As(err, &wrong) {
		return err
	}
	return fmt.Errorf("%s cannot be read: %w", quoted(path), wrong.Err)
}
