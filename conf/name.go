package conf

import (
	"fmt"
	"strings"
)

// serverName is the kind of a server's name.
var serverName = word("a name, such as \"node1\"", func(s string) (string, error) {
	if s == "FRONTEND" || s == "BACKEND" {
		return "", fmt.Errorf("must not be %q: the statistics call their sums so", s)
	}
	if err := checkName(s); err != nil {
		return "", fmt.Errorf("is no name for a server: %w", err)
	}
	return s, nil
})

// checkName accepts what every place that shows names can show.
func checkName(name string) error {
	if len(name) <= longestName && isBareKey(strings.ReplaceAll(name, ".", "")) {
		return nil
	}
	return fmt.Errorf("a name has 1 to %d letters (a-z, A-Z), digits, hyphens, underscores and dots", longestName)
}
