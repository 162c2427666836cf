// Package cli is what the command lines of the programs have in common, on top
// of github.com/spf13/cobra.
//
//	root := &cobra.Command{Use: "prog", Short: "Do things"}
//	root.AddCommand(run(), cli.Version("prog", build.Version()), cli.Man(root))
//	os.Exit(cli.Execute(root, os.Args[1:], os.Stderr))
//
// It guarantees that a flag works with one dash as well as with two (-size 1000,
// -size=1000, --size 1000, -c FILE, --c FILE), before and after the arguments;
// that an unknown or surplus argument is an error which names the argument; that
// every error is printed once, as "PROGRAM: error"; and that the exit status is 2
// for a wrong command line, 1 for a command that failed, unless the command or its
// error says otherwise.
//
// One-letter flags do not combine: -tc is the flag tc.
package cli
