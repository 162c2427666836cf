package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// successor returns a process of a group whose parent is this process.
func successor(proc string, group int) (pid int, found bool) {
	paths, err := filepath.Glob(filepath.Join(proc, "[0-9]*", "stat"))
	if err != nil {
		return 0, false
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		if parent, its, ok := parseStat(string(text)); ok && parent == os.Getpid() && its == group {
			pid, err = strconv.Atoi(filepath.Base(filepath.Dir(path)))
			return pid, err == nil
		}
	}
	return 0, false
}

// parseStat returns the parent and the group of a line of /proc/PID/stat (proc(5)). The name
// before them may contain anything.
func parseStat(line string) (parent, group int, ok bool) {
	const parentField, groupField = 1, 2 // after the name
	fields := strings.Fields(line[strings.LastIndexByte(line, ')')+1:])
	if len(fields) <= groupField {
		return 0, 0, false
	}
	parent, wrongParent := strconv.Atoi(fields[parentField])
	group, wrongGroup := strconv.Atoi(fields[groupField])
	return parent, group, wrongParent == nil && wrongGroup == nil
}
