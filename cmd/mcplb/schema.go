package main

import (
	"github.com/spf13/cobra"

	"mcplb/cmd/internal/cli"
	"mcplb/conf"
)

// schemaCommand is the command "schema".
func schemaCommand() *cobra.Command {
	return &cobra.Command{
		Use: "schema", Short: "Print the JSON schema of the configuration, for editors", Args: cli.Args(0, 0),
		Long: "Schema prints the JSON schema of a configuration file, with a description and the default\n" +
			"of every key. Editors that know TOML (taplo, Even Better TOML) complete and check with it\n" +
			"a file whose first line is \"#:schema ./lb.schema.json\".",
		Example: "  mcplb schema > lb.schema.json",
		RunE: func(c *cobra.Command, _ []string) error {
			schema, err := conf.JSONSchema()
			if err != nil {
				return err
			}
			_, err = c.OutOrStdout().Write(schema)
			return err
		},
	}
}
