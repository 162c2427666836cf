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
	if c.SuggestionsMinimumDistance <= 0 {
		c.SuggestionsMinimumDistance = 2
	}
	if similar := c.SuggestionsFor(arg); len(similar) > 0 {
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
// as it is.
func normalise(root *cobra.Command, args []string) []string {
	if len(args) > 1 && (args[0] == cobra.ShellCompRequestCmd || args[0] == cobra.ShellCompNoDescRequestCmd) {
		last := len(args) - 1 // the word to complete, which may be part of a flag
		return slices.Concat(args[:1], normaliseCommand(root, args[1:last]), args[last:])
	}
	return normaliseCommand(root, args)
}

func normaliseCommand(command *cobra.Command, args []string) []string {
	normal := make([]string, 0, len(args))
	named := false // the last command is found
	for i := 0; i < len(args); i++ {
		arg := args[i]
		switch {
		case arg == "--":
			return append(normal, args[i:]...)
		case len(arg) < 2 || arg[0] != '-':
			normal = append(normal, arg)
			if child := childOf(command, arg); child != nil && !named {
				command = child
			} else {
				named = true
			}
			continue
		}
		arg, valueFollows := normaliseFlag(command, arg)
		normal = append(normal, arg)
		if valueFollows && i+1 < len(args) {
			i++
			normal = append(normal, args[i])
		}
	}
	return normal
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
