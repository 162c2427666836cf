package proc

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// clockTick is the unit of utime and stime in /proc/PID/stat (USER_HZ, which is
// 100 on every system that Go runs on).
const clockTick = 10 * time.Millisecond

// Usage is what a process has in use.
type Usage struct {
	Resident int64         `json:"resident_bytes"`
	CPU      time.Duration `json:"cpu_nanoseconds"` // since its start, user and kernel
	Files    int           `json:"open_files"`      // 0 = not counted
}

// UsageOf reads the usage of a process. It counts the open files only with files,
// since that takes long if there are many.
func UsageOf(pid int, files bool) (Usage, error) {
	var u Usage
	directory := "/proc/" + strconv.Itoa(pid)
	statm, err := os.ReadFile(directory + "/statm")
	if err != nil {
		return u, err
	}
	fields := bytes.Fields(statm)
	if len(fields) < 2 {
		return u, fmt.Errorf("%s/statm has too few fields", directory)
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

// cpuOf reads the processor time of a process, including its ended threads.
func cpuOf(directory string) (time.Duration, error) {
	const utime, stime = 11, 12 // after the name in parentheses
	text, err := os.ReadFile(directory + "/stat")
	if err != nil {
		return 0, err
	}
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(fields) <= stime {
		return 0, fmt.Errorf("%s/stat has too few fields", directory)
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

// Family returns a process and its descendants.
func Family(pid int) []int {
	pids := []int{pid}
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		return pids
	}
	for _, task := range tasks {
		text, err := os.ReadFile(task)
		if err != nil {
			continue // it has ended
		}
		for _, field := range strings.Fields(string(text)) {
			if child, err := strconv.Atoi(field); err == nil {
				pids = append(pids, Family(child)...)
			}
		}
	}
	return pids
}

// UsageOfFamily adds up what a process and its descendants have in use.
func UsageOfFamily(pid int) Usage {
	var sum Usage
	for _, one := range Family(pid) {
		u, err := UsageOf(one, true)
		if err != nil {
			continue // it has ended
		}
		sum.Resident += u.Resident
		sum.CPU += u.CPU
		sum.Files += u.Files
	}
	return sum
}
