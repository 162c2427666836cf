package conf

import (
	"fmt"
	"strings"
)

// longestName bounds names, since metrics, logs and tables show them.
const longestName = 64

// serverName is the type of a server's name.
var serverName = word("a name, such as \"node1\"", func(s string) (string, error) {
	if s == "FRONTEND" || s == "BACKEND" {
		return "", fmt.Errorf("must not be %q: the statistics use that name for totals", s)
	}
	if err := checkName(s); err != nil {
		return "", fmt.Errorf("is not a valid name for a server: %w", err)
	}
	return s, nil
})

// checkName returns an error unless name can be shown wherever names are shown.
func checkName(name string) error {
	if len(name) <= longestName && isBareKey(strings.ReplaceAll(name, ".", "")) {
		return nil
	}
	return fmt.Errorf("a name has 1 to %d letters (a-z, A-Z), digits, hyphens, underscores and dots", longestName)
}
