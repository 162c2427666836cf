package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Args accepts from least to most arguments, any number of them if most is
// negative. Its errors name the surplus argument, or the missing one by the words
// of the command's Use.
func Args(least, most int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		switch {
		case most >= 0 && len(args) > most:
			return surplus(c, args[most])
		case len(args) < least:
			return fmt.Errorf("missing argument: %s", argument(c, len(args)))
		}
		return nil
	}
}

// surplus is the error about one argument too many.
func surplus(c *cobra.Command, arg string) error {
	if !c.HasAvailableSubCommands() {
		return fmt.Errorf("unexpected argument %q", arg)
	}
	if strings.ContainsAny(arg, "./") && c.Flags().Lookup("config") != nil {
		return fmt.Errorf("there is no command %q; a configuration is named with -c %s", arg, arg)
	}
	if c.SuggestionsMinimumDistance <= 0 {
		c.SuggestionsMinimumDistance = 2
	}
	if similar := c.SuggestionsFor(arg); arg != "" && len(similar) > 0 { // "" begins every name
		return fmt.Errorf("there is no command %q; did you mean %s?", arg, strings.Join(similar, " or "))
	}
	return fmt.Errorf("there is no command %q", arg)
}

// argument is what a command's Use calls the argument of that index.
func argument(c *cobra.Command, index int) string {
	words := slices.DeleteFunc(strings.Fields(c.Use)[1:], func(word string) bool { return word == "[flags]" })
	if len(words) == 0 {
		return "an argument"
	}
	return strings.TrimSuffix(words[min(index, len(words)-1)], "...")
}

// normalise rewrites flags in the way of Go's package flag, with one dash, to that
// of pflag, with two. It knows each command's flags, so that a flag's value stays
// as it is, and a negative number remains an argument. The error, of the command that
// is returned with it, is about a flag that is given twice.
func normalise(root *cobra.Command, args []string) (normal []string, command *cobra.Command, err error) {
	if len(args) > 1 && (args[0] == cobra.ShellCompRequestCmd || args[0] == cobra.ShellCompNoDescRequestCmd) {
		last := len(args) - 1 // the word to complete, which may be part of a flag
		n := normaliseCommand(root, args[1:last])
		return slices.Concat(args[:1], n.arguments(), args[last:]), root, nil
	}
	n := normaliseCommand(root, args)
	return n.arguments(), n.command, n.err
}

// normaliser is a command line that is being rewritten.
type normaliser struct {
	command *cobra.Command
	named   bool              // command is the last one
	normal  []string          // flags, names of commands, and arguments until the first negative number
	rest    []string          // arguments from there on
	values  map[string]string // by the names of the flags that were given
	err     error
}

// arguments is the rewritten command line.
func (n *normaliser) arguments() []string {
	if n.rest == nil {
		return n.normal
	}
	return slices.Concat(n.normal, []string{"--"}, n.rest)
}

func normaliseCommand(root *cobra.Command, args []string) *normaliser {
	n := &normaliser{command: root, values: map[string]string{}}
	for i := 0; i < len(args); i++ {
		arg := args[i]
		switch {
		case arg == "--":
			if n.rest == nil {
				n.normal = append(n.normal, args[i:]...)
			} else {
				n.rest = append(n.rest, args[i+1:]...)
			}
			return n
		case len(arg) < 2 || arg[0] != '-' || n.isNegative(arg):
			n.argument(arg)
			continue
		}
		if n.flag(arg, args[i+1:]) {
			i++
		}
	}
	return n
}

// isNegative reports whether arg is a negative number and no flag.
func (n *normaliser) isNegative(arg string) bool {
	return arg[1] >= '0' && arg[1] <= '9' && lookup(n.command, arg[1:]) == nil && lookup(n.command, arg[1:2]) == nil
}

// argument adds the name of a command, or an argument.
func (n *normaliser) argument(arg string) {
	if n.rest != nil || len(arg) > 1 && arg[0] == '-' {
		n.rest = append(n.rest, arg)
		return
	}
	n.normal = append(n.normal, arg)
	if child := childOf(n.command, arg); child != nil && !n.named {
		n.command = child
	} else {
		n.named = true
	}
}

// flag adds a flag and reports whether it takes the first of the following arguments.
func (n *normaliser) flag(arg string, following []string) (taken bool) {
	normal, valueFollows := normaliseFlag(n.command, arg)
	n.normal = append(n.normal, normal)
	name, value, hasValue := strings.Cut(strings.TrimPrefix(normal, "--"), "=")
	if taken = valueFollows && len(following) > 0; taken {
		value, hasValue = following[0], true
		n.normal = append(n.normal, value)
	}
	if flag := lookup(n.command, name); hasValue && flag != nil && flag.NoOptDefVal == "" {
		n.once(flag, value)
	}
	return taken
}

// once reports a flag that has a value already, unless it takes several: the last one
// would win, and what the other one says would be lost without a word.
func (n *normaliser) once(flag *pflag.Flag, value string) {
	if flag.Value.Type() == "stringArray" {
		return
	}
	before, twice := n.values[flag.Name]
	n.values[flag.Name] = value
	if twice && n.err == nil {
		name := flag.Name
		if flag.Shorthand != "" {
			name = flag.Shorthand
		}
		n.err = fmt.Errorf("-%s is given twice, as %q and as %q: give one", name, before, value)
	}
}

// normaliseFlag rewrites one flag and reports whether the next argument is its
// value. A flag that the command does not have is left to pflag to refuse; two
// dashes keep pflag from reading it as several one-letter flags.
func normaliseFlag(c *cobra.Command, arg string) (normal string, valueFollows bool) {
	text := strings.TrimPrefix(strings.TrimPrefix(arg, "-"), "-")
	name, value, hasValue := strings.Cut(text, "=")
	flag := lookup(c, name)
	switch {
	case flag == nil && len(name) == 1:
		return "-" + text, false
	case flag == nil:
		return "--" + text, false
	case hasValue:
		return "--" + flag.Name + "=" + value, false
	}
	return "--" + flag.Name, flag.NoOptDefVal == ""
}

// lookup finds a flag by its name, which may be one letter.
func lookup(c *cobra.Command, name string) *pflag.Flag {
	if len(name) == 1 {
		if flag := c.Flags().ShorthandLookup(name); flag != nil {
			return flag
		}
	}
	return c.Flags().Lookup(name)
}

func childOf(c *cobra.Command, name string) *cobra.Command {
	for _, child := range c.Commands() {
		if child.Name() == name || child.HasAlias(name) {
			return child
		}
	}
	return nil
}
