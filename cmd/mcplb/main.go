package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"time"

	"mcplb/conf"
	"mcplb/proxy/handover"
)

// The exit statuses.
const (
	exitOK    = 0
	exitError = 1 // it could not start, or did not end well
	exitUsage = 2 // the command line or the configuration is wrong
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run is main with its surroundings as arguments.
func run(args []string, stdout, stderr io.Writer) int {
	if len(args) > 0 {
		if args[0] == completionWords {
			return words(args[1:], stdout)
		}
		if c := commandOf(args[0]); c != nil {
			return operate(c, args[1:], stdout, stderr)
		}
	}
	flags := flag.NewFlagSet("mcplb", flag.ContinueOnError)
	flags.SetOutput(stderr)
	path := flags.String("c", "", "the configuration `FILE`")
	check := flags.Bool("t", false, "check the configuration and exit: 0 when it is good, 2 when it is not")
	var process handover.ProcessOptions
	flags.StringVar(&process.PIDFile, "pid-file", "", "write the number of the process that serves to this `FILE`, anew at every upgrade")
	flags.DurationVar(&process.Timeout, "upgrade-timeout", time.Minute, "how long a new binary may take, at an upgrade, until it serves")
	version := flags.Bool("version", false, "print the version and exit")
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: mcplb -c FILE [-t] [-pid-file FILE]")
		flags.PrintDefaults()
		showCommands(stderr)
	}
	if err := flags.Parse(args); err != nil {
		if err == flag.ErrHelp {
			return exitOK
		}
		return exitUsage
	}
	switch {
	case *version:
		fmt.Fprintln(stdout, "mcplb", buildVersion())
		return exitOK
	case *path == "":
		fmt.Fprintln(stderr, "mcplb: name the configuration with -c")
		flags.Usage()
		return exitUsage
	case flags.NArg() > 0:
		fmt.Fprintf(stderr, "mcplb: unexpected argument %q\n", flags.Arg(0))
		flags.Usage()
		return exitUsage
	}
	config, err := conf.Load(*path)
	if err != nil {
		fmt.Fprintln(stderr, complaint(err))
		return exitUsage
	}
	if *check {
		for _, warning := range config.Warnings(time.Now()) {
			fmt.Fprintf(stderr, "%s: warning: %s\n", *path, warning)
		}
		fmt.Fprintf(stdout, "%s: configuration is valid\n", *path)
		return exitOK
	}
	return serve(*path, config, process, stderr)
}

// complaint is what to say of a configuration that cannot be used. Mistakes in
// it stand alone, one a line, as editors and other tools read them.
func complaint(err error) string {
	var mistakes conf.Errors
	if errors.As(err, &mistakes) {
		return mistakes.Error()
	}
	return "mcplb: " + err.Error()
}

// buildVersion is the module's version, or the commit it was built from.
func buildVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			return setting.Value[:min(len(setting.Value), 12)]
		}
	}
	return info.Main.Version
}
