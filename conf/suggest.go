package conf

import (
	"fmt"
	"slices"
	"strings"
)

// DidYouMean returns a clause that suggests which of the names in a configuration was
// meant by word, such as `; did you mean "node1"?`, or "" if none is similar.
func DidYouMean(word string, names []string) string { return didYouMean(word, names) }

// didYouMean returns a clause that suggests which candidate was meant by word,
// such as `; did you mean "maxconn"?`, or "" if none is similar.
func didYouMean(word string, candidates []string) string {
	best := foreign[word]
	if !slices.Contains(candidates, best) {
		best = nearest(word, candidates)
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// foreign maps names that HAProxy and nginx use to the names of keys here.
var foreign = map[string]string{
	"bind": "listen", "default_backend": "backend", "nbthread": "threads", "worker_connections": "maxconn",
	"fastinter": "fast_interval", "inter": "interval",
	"address": "tcp", "addr": "tcp", "upstream": "backend", "hash_balance_factor": "balance_factor",
	"ssl": "tls", "gzip_types": "compress", "client_max_body_size": "max_body", "grace": "hard_stop_after",
}

// nearest returns the candidate with the smallest distance to word, or "" if all
// are further than one letter in three.
func nearest(word string, candidates []string) string {
	word = strings.ToLower(word)
	if len(word) > 64 {
		return "" // no key or name is as long
	}
	best, fewest := "", max(len(word)/3, 1)+1
	for _, candidate := range candidates {
		if candidate == "" || len(candidate) > 64 {
			continue
		}
		slips := distance(word, strings.ToLower(candidate))
		if slips < fewest && slips < len(candidate) {
			best, fewest = candidate, slips
		}
	}
	return best
}

// distance counts the letters to insert, drop, replace or swap with their
// neighbour that lead from a to b (optimal string alignment).
func distance(a, b string) int {
	var previous []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		next := make([]int, len(b)+1)
		next[0] = i
		for j := 1; j <= len(b); j++ {
			replace := row[j-1]
			if a[i-1] != b[j-1] {
				replace++
			}
			next[j] = min(replace, row[j]+1, next[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				next[j] = min(next[j], previous[j-2]+1)
			}
		}
		previous, row = row, next
	}
	return row[len(b)]
}

// oneOfWords lists words as `"a", "b" or "c"`.
func oneOfWords(words []string) string {
	quoted := make([]string, len(words))
	for i, word := range words {
		quoted[i] = fmt.Sprintf("%q", word)
	}
	return enumerate(quoted, "or")
}

// enumerate lists items as `a, b and c`.
func enumerate(items []string, last string) string {
	if len(items) < 2 {
		return strings.Join(items, "")
	}
	return strings.Join(items[:len(items)-1], ", ") + " " + last + " " + items[len(items)-1]
}
