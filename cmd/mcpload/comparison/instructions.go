package comparison

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"

	"mcplb/cmd/mcpload/report"
)

// A result of testdata/bench/instructions.py follows a line with the name of the
// work.
var (
	workLine        = regexp.MustCompile(`^(\w+)  \(instructions per message\)`)
	instructionLine = regexp.MustCompile(`^  (\w+)\s+([\d,]+)\s+of`)
)

// addInstructions runs the command that counts instructions, if there is one.
func (c *comparison) addInstructions(ctx context.Context) error {
	if c.options.Instructions == "" {
		return nil
	}
	fmt.Fprintln(c.progress, "counting instructions")
	output, err := exec.CommandContext(ctx, "sh", "-c", c.options.Instructions).CombinedOutput()
	if err != nil {
		return fmt.Errorf("count instructions: %w: %s", err, output)
	}
	return parseInstructions(c.table, string(output))
}

// parseInstructions adds the results in the command's output to a table.
func parseInstructions(t *report.Table, output string) error {
	names := map[string]string{"mcplb": "mcplb", "haproxy": "HAProxy", "nginx": "nginx"}
	work := ""
	for line := range strings.Lines(output) {
		if found := workLine.FindStringSubmatch(line); found != nil {
			work = found[1]
		}
		if found := instructionLine.FindStringSubmatch(line); found != nil && names[found[1]] != "" {
			n, err := strconv.ParseFloat(strings.ReplaceAll(found[2], ",", ""), 64)
			if err != nil {
				return fmt.Errorf("count instructions: %q: %w", line, err)
			}
			t.Add(names[found[1]], work+" instructions/message", n)
		}
	}
	return nil
}
