package cli

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// Version is the command "version", which prints the program and its version, in one
// line or more.
func Version(program, version string) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: Args(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(c.OutOrStdout(), program, version)
			return err
		},
	}
}

// VersionFlag gives root the flag -version, which prints the program's name and version on
// one line.
func VersionFlag(root *cobra.Command, version string) {
	root.Version = version
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	root.Flags().Bool("version", false, "print the version and exit")
}

// Man is the hidden command "man DIR", which writes a manual page for root and for
// each command below it to DIR. It creates DIR if it is missing.
func Man(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use: "man DIR", Short: "Write manual pages to a directory", Args: Args(1, 1), Hidden: true,
		RunE: func(_ *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return fmt.Errorf("create the directory for the manual pages: %w", err)
			}
			root.DisableAutoGenTag = true
			if err := doc.GenManTree(root, &doc.GenManHeader{Section: "1", Source: root.Name()}, args[0]); err != nil {
				return fmt.Errorf("write the manual pages: %w", err)
			}
			return nil
		},
	}
}

// helpCommand is the command "help". Unlike cobra's, it fails for a command that
// does not exist.
func helpCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use: "help [COMMAND]", Short: "Show the help of a command", Args: Args(0, -1),
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return helpTopics(root, args), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			topic := root
			for _, name := range args {
				child := childOf(topic, name)
				if child == nil {
					return usageError{surplus(topic, name)}
				}
				topic = child
			}
			if err := topic.Flags().Set("help", "true"); err != nil {
				return err
			}
			return topic.Help()
		},
	}
}

// helpTopics are the commands below the one that args name.
func helpTopics(topic *cobra.Command, args []string) (names []cobra.Completion) {
	for _, name := range args {
		if topic = childOf(topic, name); topic == nil {
			return nil
		}
	}
	for _, child := range topic.Commands() {
		if child.IsAvailableCommand() {
			names = append(names, cobra.CompletionWithDesc(child.Name(), child.Short))
		}
	}
	return names
}

// removePowerShell removes the completion for a shell that systems with our programs
// do not have.
func removePowerShell(root *cobra.Command) {
	completion := childOf(root, "completion")
	if completion == nil {
		return
	}
	if shell := childOf(completion, "powershell"); shell != nil {
		completion.RemoveCommand(shell)
	}
}
