package lb

import (
	"slices"
	"strings"
)

// BothHosts returns the hosts that two lists have in common, of which "*.example.com" stands
// for all below the domain.
func BothHosts(a, b []string) (common []string) {
	for _, x := range a {
		for _, y := range b {
			narrow := ""
			switch {
			case hasHost(y, x):
				narrow = x
			case hasHost(x, y):
				narrow = y
			}
			if narrow != "" && !slices.Contains(common, narrow) {
				common = append(common, narrow)
			}
		}
	}
	return common
}

// hasHost reports whether a host or domain stands for another one, too.
func hasHost(wide, narrow string) bool {
	domain, isDomain := strings.CutPrefix(strings.ToLower(wide), "*.")
	if !isDomain {
		return strings.EqualFold(wide, narrow)
	}
	return strings.HasSuffix(strings.ToLower(narrow), "."+domain)
}
