package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

const (
	keptLines = 50      // the last ones of each process's output
	maxLine   = 4 << 10 // bytes; longer lines are cut into pieces
)

// logs receives the output of the processes. It keeps the last lines of each; on
// request it shows all output or writes it to files.
type logs struct {
	stderr    *lockedWriter
	verbose   bool
	directory string // "" = no files
	files     []*os.File
	opened    map[string]*processLog // by the process's name: it may be started again
}

func newLogs(stderr io.Writer, verbose bool, directory string) (*logs, error) {
	if directory != "" {
		if err := os.MkdirAll(directory, 0o755); err != nil {
			return nil, fmt.Errorf("make the directory for logs: %w", err)
		}
	}
	return &logs{stderr: &lockedWriter{w: stderr}, verbose: verbose, directory: directory, opened: map[string]*processLog{}}, nil
}

// open returns the log of one process, the same one at each call.
func (l *logs) open(name string) (*processLog, error) {
	if log := l.opened[name]; log != nil {
		return log, nil
	}
	log := &processLog{}
	if l.verbose {
		log.stderr, log.prefix = l.stderr, name+" | "
	}
	if l.directory != "" {
		file, err := os.OpenFile(logPath(l.directory, name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		if err != nil {
			return nil, fmt.Errorf("open the log of %s: %w", name, err)
		}
		l.files = append(l.files, file)
		log.file = file
	}
	l.opened[name] = log
	return log, nil
}

// logPath is the file of one process's output.
func logPath(directory, name string) string {
	return filepath.Join(directory, strings.ReplaceAll(name, "/", "_")+".log")
}

// close closes the files.
func (l *logs) close() error {
	var failures []error
	for _, file := range l.files {
		failures = append(failures, file.Close())
	}
	return errors.Join(failures...)
}

// processLog receives one process's output, line by line.
//
// Write never fails: an error would end the process by SIGPIPE.
type processLog struct {
	stderr *lockedWriter // nil = not shown
	prefix string
	file   io.Writer // nil = no file

	mu      sync.Mutex
	lines   []string // guarded by mu; the last lines
	partial []byte   // guarded by mu; the beginning of the next line
}

func (l *processLog) Write(data []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	written := len(data)
	if l.file != nil {
		l.file.Write(data) // best effort, see above
	}
	for len(data) > 0 {
		piece := data[:min(len(data), maxLine-len(l.partial))]
		line, _, ended := bytes.Cut(piece, []byte("\n"))
		l.partial = append(l.partial, line...)
		if ended || len(l.partial) == maxLine {
			l.endLine()
		}
		data = data[len(line):]
		if ended {
			data = data[1:]
		}
	}
	return written, nil
}

// endLine completes the partial line. mu must be held.
func (l *processLog) endLine() {
	line := strings.TrimSuffix(string(l.partial), "\r")
	l.partial = l.partial[:0]
	if len(l.lines) == keptLines {
		l.lines = append(l.lines[:0], l.lines[1:]...)
	}
	l.lines = append(l.lines, line)
	if l.stderr != nil {
		l.stderr.Write([]byte(l.prefix + line + "\n"))
	}
}

// last is the kept output, each line indented, or a note that there is none.
func (l *processLog) last() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := l.lines
	if len(l.partial) > 0 {
		lines = append(lines[:len(lines):len(lines)], string(l.partial))
	}
	if len(lines) == 0 {
		return "it has printed nothing"
	}
	return "its last lines:\n  | " + strings.Join(lines, "\n  | ")
}

// lockedWriter lets several goroutines write complete lines.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer // guarded by mu
}

func (w *lockedWriter) Write(data []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.w.Write(data)
}
