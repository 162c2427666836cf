package lb

import (
	"regexp"
	"slices"
	"strings"
)

// privatePaths are the paths for which denials by regular expressions are mostly written: what
// scanners ask for first.
var privatePaths = []string{
	"/.git", "/.svn", "/.hg", "/.env", "/.env.local", "/.env.production", "/.env.bak", "/.htaccess", "/.htpasswd", "/.aws", "/.ssh", "/.docker", "/.npmrc", "/.vscode", "/.bash_history",
	"/wp-config.php", "/wp-config.php.bak", "/wp-login.php", "/wp-admin", "/xmlrpc.php", "/composer.json", "/composer.lock", "/package.json", "/web.config", "/phpinfo.php", "/phpmyadmin",
	"/backup.sql", "/dump.sql", "/server-status",
}

// Private returns those of the well-known private paths that a test matches, each exactly or with
// what is below it.
func Private(matches func(path string) bool) (paths []Path) {
	for _, p := range privatePaths {
		switch {
		case matches(p) && matches(p+"/") && matches(p+"/x/y.z"):
			paths = append(paths, Path{p, Segments})
		case matches(p):
			paths = append(paths, Path{p, Exact})
		}
	}
	return paths
}

// lookahead is the first (?!...) of a regular expression that has no group in it.
var lookahead = regexp.MustCompile(`\(\?!([^()]*)\)`)

// Matcher returns the test of a regular expression, which may say (?!...) once. ok is false if
// its grammar is not known.
func Matcher(expression string, fold bool) (matches func(path string) bool, ok bool) {
	if fold {
		expression = "(?i)" + expression
	}
	never := func(string) bool { return false }
	if at := lookahead.FindStringSubmatchIndex(expression); at != nil {
		// Where what stands before it and in it is nowhere, it holds.
		kept, err := regexp.Compile(expression[:at[0]] + "(?:" + expression[at[2]:at[3]] + ")")
		if err != nil {
			return nil, false
		}
		never = kept.MatchString
		expression = expression[:at[0]] + expression[at[1]:]
	}
	all, err := regexp.Compile(expression)
	if err != nil {
		return nil, false
	}
	return func(path string) bool { return all.MatchString(path) && !never(path) }, true
}

// PartialName reports whether a beginning of a path ends within a name, so that whole segments
// have next to nothing of it: /wp-, /.ht.
func PartialName(beginning string) bool {
	return strings.HasSuffix(beginning, "-") || strings.HasSuffix(beginning, "_") || strings.HasSuffix(beginning, ".") || strings.HasSuffix(beginning, "/.ht")
}

// DotSegment reports whether a path has a segment . or .., or an empty one: its canonical form is
// another path.
func DotSegment(path string) bool {
	return slices.ContainsFunc(strings.Split(strings.Trim(path, "/"), "/"), func(s string) bool { return s == "." || s == ".." || s == "" && strings.Trim(path, "/") != "" })
}

// Names returns the paths as a list for a note.
func Names(paths []Path) string {
	if len(paths) == 0 {
		return "nothing"
	}
	names := make([]string, len(paths))
	for i, p := range paths {
		names[i] = p.Text
	}
	return strings.Join(names, ", ")
}
