package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

// program is a command line with everything that the programs have in theirs.
// Commands that run print what they were given.
func program() *cobra.Command {
	root := &cobra.Command{Use: "prog", Short: "Do things"}
	var file, client string
	var lasting time.Duration
	var check bool
	var size int
	run := &cobra.Command{Use: "run [flags] THING...", Short: "Run things", Args: Args(1, 3), RunE: func(c *cobra.Command, args []string) error {
		_, err := fmt.Fprintf(c.OutOrStdout(), "c=%s client=%s for=%v t=%t size=%d %q", file, client, lasting, check, size, args)
		return err
	}}
	run.Flags().StringVarP(&file, "config", "c", "", "a `FILE`")
	run.Flags().StringVar(&client, "client", "", "a client's `ADDRESS`")
	run.Flags().DurationVar(&lasting, "for", 0, "how long")
	run.Flags().BoolVarP(&check, "check", "t", false, "only check")
	run.Flags().IntVar(&size, "size", 1, "how many `bytes`")
	run.ValidArgsFunction = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return []string{"size=" + fmt.Sprint(size)}, cobra.ShellCompDirectiveNoFileComp
	}
	fail := &cobra.Command{Use: "fail HOW", Short: "Fail", Args: Args(1, 1), Annotations: map[string]string{UsageStatus: "64"}, RunE: func(_ *cobra.Command, args []string) error {
		return map[string]error{
			"plain":  errors.New("no server"),
			"status": fmt.Errorf("wrapped: %w", Status(7)),
			"chosen": &chosenError{},
			"misuse": Misuse("%s is too much", "this"),
		}[args[0]]
	}}
	none := &cobra.Command{Use: "none", Short: "Take no arguments", RunE: func(*cobra.Command, []string) error { return nil }}
	group := &cobra.Command{Use: "group", Short: "Have commands"}
	group.AddCommand(&cobra.Command{Use: "member", Short: "Be one", RunE: func(*cobra.Command, []string) error { return nil }})
	VersionFlag(root, "v1")
	root.AddCommand(run, fail, none, group, Version("prog", "v1"), Man(root))
	return root
}

type chosenError struct{}

func (*chosenError) Error() string   { return "nothing answers" }
func (*chosenError) ExitStatus() int { return 3 }

func execute(args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	root := program()
	root.SetOut(&out)
	status = Execute(root, args, &errs)
	return status, out.String(), errs.String()
}

// A flag works in every way in which Go's package flag takes it, and in pflag's.
func TestFlags(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"run a":                       `c= client= for=0s t=false size=1 ["a"]`,
		"run -c f -t a":               `c=f client= for=0s t=true size=1 ["a"]`,
		"run --c f --t a":             `c=f client= for=0s t=true size=1 ["a"]`,
		"run -c=f -t=false a":         `c=f client= for=0s t=false size=1 ["a"]`,
		"run -c= a":                   `c= client= for=0s t=false size=1 ["a"]`,
		"run --config=f a":            `c=f client= for=0s t=false size=1 ["a"]`,
		"run -config f a":             `c=f client= for=0s t=false size=1 ["a"]`,
		"run a -size 1000 b":          `c= client= for=0s t=false size=1000 ["a" "b"]`,
		"run a -size=1000 b":          `c= client= for=0s t=false size=1000 ["a" "b"]`,
		"run -size -5 a":              `c= client= for=0s t=false size=-5 ["a"]`,
		"run a -5":                    `c= client= for=0s t=false size=1 ["a" "-5"]`,
		"run a -5 -size 3 b":          `c= client= for=0s t=false size=3 ["a" "-5" "b"]`,
		"run -5% -c f":                `c=f client= for=0s t=false size=1 ["-5%"]`,
		"run a -0.5 -- -c":            `c= client= for=0s t=false size=1 ["a" "-0.5" "-c"]`,
		"run -t -t a":                 `c= client= for=0s t=true size=1 ["a"]`,
		"run -client -t a":            `c= client=-t for=0s t=false size=1 ["a"]`,
		"run -for 1h -client x=y a b": `c= client=x=y for=1h0m0s t=false size=1 ["a" "b"]`,
		"run -client=x=y a":           `c= client=x=y for=0s t=false size=1 ["a"]`,
		"run -t -- -size a":           `c= client= for=0s t=true size=1 ["-size" "a"]`,
		"run - a":                     `c= client= for=0s t=false size=1 ["-" "a"]`,
		"run run none":                `c= client= for=0s t=false size=1 ["run" "none"]`,
		"run -client -- a":            `c= client=-- for=0s t=false size=1 ["a"]`,
	} {
		if status, out, errs := execute(strings.Fields(args)...); status != 0 || out != want {
			t.Errorf("%s: status %d, %s, %s; want %s", args, status, out, errs, want)
		}
	}
}

// A program that does something by itself refuses arguments, also behind "--": it would
// serve without what they say.
func TestSurplusArguments(t *testing.T) {
	t.Parallel()
	for _, args := range []string{"x", "-- x", "-- -t", "-t -- x", "-t -- none", "-t x", "-5", "-"} {
		root := program()
		root.Flags().BoolP("check", "t", false, "only check")
		root.RunE = func(*cobra.Command, []string) error {
			t.Errorf("%s: it runs", args)
			return nil
		}
		var errs bytes.Buffer
		if status := Execute(root, strings.Fields(args), &errs); status != 2 || !strings.HasPrefix(errs.String(), "prog: there is no command ") {
			t.Errorf("%s: status %d, %s", args, status, &errs)
		}
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		args   string
		status int
		stderr string // how it begins
	}{
		{"nonee", 2, "prog: there is no command \"nonee\"; did you mean none?\nusage: prog"},
		{"nonee -size 5", 2, "prog: there is no command \"nonee\"; did you mean none?\n"},
		{"something", 2, "prog: there is no command \"something\"\n"},
		{"help nonee", 2, "prog help: there is no command \"nonee\"; did you mean none?\n"},
		{"group mamber", 2, "prog group: there is no command \"mamber\"; did you mean member?\n"},
		{"group", 2, "prog group: name a command:\n\nUsage:\n  prog group [command]\n"},
		{"", 2, "prog: name a command:\n\nUsage:\n  prog [command]\n"},
		{"none a", 2, "prog none: unexpected argument \"a\"\nusage: prog none\n'prog none -h' shows more\n"},
		{"version a", 2, "prog version: unexpected argument \"a\"\n"},
		{"run", 2, "prog run: missing argument: THING\nusage: prog run [flags] THING...\n"},
		{"run a b c d", 2, "prog run: unexpected argument \"d\"\n"},
		{"run -clien x", 2, "prog run: unknown flag: --clien\n"},
		{"run -tc x", 2, "prog run: unknown flag: --tc\n"},
		{"run -x", 2, "prog run: unknown shorthand flag: 'x' in -x\n"},
		{"run a -size", 2, "prog run: flag needs an argument: --size\n"},
		{"run -size much a", 2, "prog run: invalid argument \"much\" for \"--size\" flag"},
		{"fail plain", 1, "prog: no server\n"},
		{"fail status", 7, ""},
		{"fail chosen", 3, "prog: nothing answers\n"},
		{"fail misuse", 64, "prog fail: this is too much\nusage: prog fail HOW"},
		{"fail", 64, "prog fail: missing argument: HOW\n"},
		{"fail plain -x", 64, "prog fail: unknown shorthand flag"},
		{"completion powershell", 2, "prog completion: there is no command \"powershell\"\n"},
		{"man", 2, "prog man: missing argument: DIR\n"},
	} {
		status, out, errs := execute(strings.Fields(test.args)...)
		if status != test.status || !strings.HasPrefix(errs, test.stderr) || test.stderr == "" && errs != "" || out != "" {
			t.Errorf("%s: status %d, %q, %q; want %d and %q", test.args, status, out, errs, test.status, test.stderr)
		}
	}
}

func TestOutput(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"version":        "prog v1\n",
		"-version":       "prog v1\n",
		"--version":      "prog v1\n",
		"run -h":         "Usage:\n  prog run [flags] THING...",
		"run -help":      "--size bytes",
		"-h":             "Available Commands:",
		"help":           "Available Commands:",
		"help run":       "Usage:\n  prog run [flags] THING...",
		"help group":     "member",
		"fail --help":    "Usage:\n  prog fail HOW",
		"completion zsh": "#compdef prog",
		// The shells ask by these commands.
		"__complete ru":                   "run\tRun things",
		"__complete run -size 5 ":         "size=5\n",
		"__complete run -size=6 x ":       "size=6\n",
		"__completeNoDesc run -size 5 x ": "size=5\n",
		"__complete help ru":              "run\tRun things",
		"__complete help group ":          "member",
	} {
		if status, out, errs := execute(strings.Split(args, " ")...); status != 0 || !strings.Contains(out, want) {
			t.Errorf("%s: status %d, %q, %q; want %q", args, status, out, errs, want)
		}
	}
}

func TestManualPages(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new", "man1")
	if status, _, errs := execute("man", dir); status != 0 {
		t.Fatal(status, errs)
	}
	for name, want := range map[string]string{"prog.1": "Do things", "prog-run.1": `\fB--size\fP`, "prog-group-member.1": "Be one"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s: %v; %q is missing in %s", name, err, want, text)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "prog-man.1")); err == nil {
		t.Error("there is a page of the hidden command man")
	}
	if status, _, errs := execute("man", filepath.Join(dir, "prog.1")); status != 1 || !strings.HasPrefix(errs, "prog: create the directory") {
		t.Errorf("a file instead of the directory: status %d, %s", status, errs)
	}
}

// Commands get the context of root.
func TestContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	root := &cobra.Command{Use: "prog", RunE: func(c *cobra.Command, _ []string) error { return c.Context().Err() }}
	root.SetContext(ctx)
	var errs bytes.Buffer
	if status := Execute(root, nil, &errs); status != 1 || errs.String() != "prog: context canceled\n" {
		t.Errorf("status %d, %s", status, errs.String())
	}
	if status := Execute(&cobra.Command{Use: "prog", RunE: root.RunE}, []string{"surplus"}, &errs); status != 2 {
		t.Errorf("a surplus argument of a program without commands: status %d, %s", status, errs.String())
	}
}

// The last of two values of a flag does not win in silence: a balancer that serves
// another file than the one that was meant is found out late.
func TestRepeatedFlags(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"run -c A -c B a":               `prog run: -c is given twice, as "A" and as "B": give one`,
		"run -c A -c A a":               `prog run: -c is given twice, as "A" and as "A": give one`,
		"run -c=A a --config B":         `prog run: -c is given twice, as "A" and as "B": give one`,
		"run --config=A -config=B a":    `prog run: -c is given twice`,
		"run -for 1h -for=2h a":         `prog run: -for is given twice, as "1h" and as "2h": give one`,
		"run -size 1 a -size 2":         `prog run: -size is given twice`,
		"run a -5 -size 1 -size 2":      `prog run: -size is given twice`,
		"run -client -c -c B -c C some": `prog run: -c is given twice, as "B" and as "C": give one`,
	} {
		status, stdout, stderr := execute(strings.Fields(args)...)
		if status != 2 || stdout != "" || !strings.HasPrefix(stderr, want) || !strings.Contains(stderr, "usage: prog run") {
			t.Errorf("%s: status %d, said %q and %q, want %q", args, status, stdout, stderr, want)
		}
	}
}
