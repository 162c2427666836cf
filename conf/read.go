package conf

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

const (
	// mostConfig is the largest configuration, all files together: about a thousand
	// times a large one. Its values take ten times its size in memory.
	mostConfig = 16 * megabyte
	// MostSmall is the size of the largest certificate chain, key or token, in bytes.
	MostSmall = megabyte
	// readTime is how long a file may let its reader wait that calls itself regular, as
	// /proc/kmsg does.
	readTime = time.Second
)

// ReadConfig reads the files of a configuration: regular ones of at most 16 MiB
// together. A path may name a directory, for its files whose names end in .toml, except
// hidden ones, in the order of their names; "-" is standard input (see readStdin).
func ReadConfig(paths ...string) ([]File, error) {
	files, err := readConfig(paths)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	return files, nil
}

func readConfig(paths []string) (files []File, err error) {
	names, err := expandPaths(paths)
	if err != nil {
		return nil, err
	}
	left := int64(mostConfig)
	for _, name := range names {
		read := ReadFile
		if name == Stdin {
			read = func(_ string, most int64) ([]byte, error) { return readStdin(most) }
		}
		text, err := read(name, mostConfig)
		if err != nil {
			return nil, err
		}
		if left -= int64(len(text)); left < 0 {
			return nil, fmt.Errorf("the files are too large: they may have %d MiB together", mostConfig/megabyte)
		}
		files = append(files, File{name, text})
	}
	return files, nil
}

// expandPaths replaces directories by their files, and returns each once.
func expandPaths(paths []string) (names []string, err error) {
	for _, path := range paths {
		inside := []string{path}
		if info, statErr := os.Stat(path); path != Stdin && statErr == nil && info.IsDir() {
			if inside, err = configFiles(path); err != nil {
				return nil, err
			}
		}
		for _, name := range inside {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names, nil
}

// configFiles returns the configuration files in a directory.
func configFiles(directory string) (names []string, err error) {
	entries, err := os.ReadDir(directory) // sorted
	if err != nil {
		return nil, explainFile(directory, err)
	}
	for _, entry := range entries {
		if name := entry.Name(); filepath.Ext(name) == ".toml" && name[0] != '.' {
			names = append(names, filepath.Join(directory, name))
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%s is a directory without a file *.toml", quoted(directory))
	}
	return names, nil
}

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
