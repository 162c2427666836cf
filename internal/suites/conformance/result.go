package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// results are a suite's results by check.
type results map[string]result

// result is how one check came out.
type result struct {
	status string // success, or what else the suite says
	detail string // what must be the same on every way to the servers; "" = nothing
}

// success is the only status that is not to be improved on.
const success = "SUCCESS"

// summary counts the checks by status.
func (r results) summary() string {
	passed := 0
	others := map[string]int{}
	for _, result := range r {
		if result.status == success {
			passed++
		} else {
			others[result.status]++
		}
	}
	text := fmt.Sprintf("%d passed", passed)
	for _, status := range slices.Sorted(maps.Keys(others)) {
		text += fmt.Sprintf(", %d %s", others[status], status)
	}
	return text
}

// worse lists what is worse in behind than in direct, a line for each check.
// What differs but succeeds in behind is not worse. shared are the checks that
// may come out as a warning.
func worse(direct, behind results, shared []string) (list, tolerated []string) {
	for _, check := range slices.Sorted(maps.Keys(direct)) {
		want, got := direct[check], behind[check]
		if got.status == "" {
			got.status = "not run"
		}
		line := fmt.Sprintf("%s: %s, directly %s", check, got.status, want.status)
		switch {
		case got == want, got.status == success && want.status != success:
		case got.status == want.status:
			list = append(list, fmt.Sprintf("%s: %s", check, difference(want.detail, got.detail)))
		case got.status == "WARNING" && slices.Contains(shared, check):
			tolerated = append(tolerated, line)
		default:
			list = append(list, line)
		}
	}
	for _, check := range slices.Sorted(maps.Keys(behind)) {
		if _, there := direct[check]; !there && behind[check].status != success {
			list = append(list, fmt.Sprintf("%s: %s, directly not run", check, behind[check].status))
		}
	}
	return list, tolerated
}

// difference tells which lines only one of two texts has.
func difference(direct, behind string) string {
	only := func(lines, others []string) []string {
		return slices.DeleteFunc(lines, func(line string) bool { return slices.Contains(others, line) })
	}
	a, b := strings.Split(direct, "\n"), strings.Split(behind, "\n")
	return fmt.Sprintf("only directly %q, only behind %q", only(slices.Clone(a), b), only(b, a))
}
