package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// results are a suite's results by check.
type results map[string]result

// result is the outcome of one check.
type result struct {
	status string // success, or another status of the suite
	detail string // must be the same on every route to the servers; "" = nothing to compare
}

// success is the best status.
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

// worse lists the checks that are worse in proxied than in direct, one line
// each. A check that differs but succeeds in proxied is not worse. The checks in
// shared may result in a warning: those are in tolerated.
func worse(direct, proxied results, shared []string) (list, tolerated []string) {
	for _, check := range slices.Sorted(maps.Keys(direct)) {
		want, got := direct[check], proxied[check]
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
	for _, check := range slices.Sorted(maps.Keys(proxied)) {
		if _, there := direct[check]; !there && proxied[check].status != success {
			list = append(list, fmt.Sprintf("%s: %s, directly not run", check, proxied[check].status))
		}
	}
	return list, tolerated
}

// difference returns the lines that only one of two texts has.
func difference(direct, proxied string) string {
	only := func(lines, others []string) []string {
		return slices.DeleteFunc(lines, func(line string) bool { return slices.Contains(others, line) })
	}
	a, b := strings.Split(direct, "\n"), strings.Split(proxied, "\n")
	return fmt.Sprintf("only directly %q, only through mcplb %q", only(slices.Clone(a), b), only(b, a))
}
