// Package convert turns configurations of HAProxy and nginx into lb.toml, with an
// account of every directive.
//
//	result, err := convert.Files("haproxy.cfg")
//	fmt.Print(result.Text)      // lb.toml, with comments
//	result.Report(os.Stdout)    // the account, as a table
//	if result.Incomplete() { ... } // something was not possible
//
// What comes out is accepted by package conf: what that refuses is taken out again, and
// the directives that it came from are named as not possible. Files that the result
// names (certificates, error pages) have to exist where it is used; those that do not
// exist here are in Result.Missing.
package convert
