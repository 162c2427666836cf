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
	keptLines = 50      // of each process's output
	maxLine   = 4 << 10 // bytes; longer lines are cut into pieces
)

// logs is where the processes' output goes: the last lines of each are kept,
// and all of it is shown or written to files when the operator wishes so.
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

// open returns the log of one process, the same one each time.
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

// processLog takes one process's output, line by line.
//
// Its Write never fails: the process would be killed by SIGPIPE for it.
type processLog struct {
	stderr *lockedWriter // nil = not shown
	prefix string
	file   io.Writer // nil = no file

	mu      sync.Mutex
	lines   []string // guarded by mu; the last ones
	partial []byte   // guarded by mu; a line without its end so far
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

// endLine makes the partial line a line. Called with mu held.
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

// last is the kept output, each line indented; it says so when there is none.
func (l *processLog) last() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := l.lines
	if len(l.partial) > 0 {
		lines = append(lines[:len(lines):len(lines)], string(l.partial))
	}
	if len(lines) == 0 {
		return "it has said nothing"
	}
	return "its last lines:\n  | " + strings.Join(lines, "\n  | ")
}

// lockedWriter lets several goroutines write whole lines.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer // guarded by mu
}

func (w *lockedWriter) Write(data []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.w.Write(data)
}
