package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"
)

// clockTick is the unit of utime and stime in /proc/PID/stat (USER_HZ, which
// is 100 on every system that Go runs on).
const clockTick = 10 * time.Millisecond

// usage is what a process has in use, as the kernel tells it (proc(5)).
type usage struct {
	Resident int64         `json:"resident_bytes"`
	CPU      time.Duration `json:"cpu_nanoseconds"` // since its start, user and kernel
	Files    int           `json:"open_files"`      // 0 = not counted
}

// usageOf reads a process's usage. Counting its files takes a while where they
// are many.
func usageOf(pid int, files bool) (usage, error) {
	var u usage
	directory := "/proc/" + strconv.Itoa(pid)
	statm, err := os.ReadFile(directory + "/statm")
	if err != nil {
		return u, err
	}
	fields := bytes.Fields(statm)
	if len(fields) < 2 {
		return u, fmt.Errorf("%s/statm is not as expected", directory)
	}
	pages, err := strconv.ParseInt(string(fields[1]), 10, 64)
	if err != nil {
		return u, fmt.Errorf("%s/statm: %w", directory, err)
	}
	u.Resident = pages * int64(os.Getpagesize())
	if u.CPU, err = cpuOf(directory); err != nil {
		return u, err
	}
	if files {
		entries, err := os.ReadDir(directory + "/fd")
		if err != nil {
			return u, err
		}
		u.Files = len(entries)
	}
	return u, nil
}

// cpuOf reads the processor time of a process, ended threads included.
func cpuOf(directory string) (time.Duration, error) {
	const utime, stime = 11, 12 // behind the name in parentheses
	text, err := os.ReadFile(directory + "/stat")
	if err != nil {
		return 0, err
	}
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(fields) <= stime {
		return 0, fmt.Errorf("%s/stat is not as expected", directory)
	}
	var ticks int64
	for _, field := range fields[utime : stime+1] {
		n, err := strconv.ParseInt(string(field), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%s/stat: %w", directory, err)
		}
		ticks += n
	}
	return time.Duration(ticks) * clockTick, nil
}
