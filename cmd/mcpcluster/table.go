package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// printTable shows what runs where: a line for each address of each process.
func printTable(w io.Writer, children []*child) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ROLE\tNAME\tADDRESS\tPID\tSTATE")
	for _, child := range children {
		for i, endpoint := range child.member.addresses {
			if i == 0 {
				fmt.Fprintf(table, "%s\t%s\t%s %s\t%d\t%s\n",
					child.member.role, child.member.name, endpoint.label, endpoint.address, child.pid(), child.state())
			} else {
				fmt.Fprintf(table, "\t\t%s %s\t\t\n", endpoint.label, endpoint.address)
			}
		}
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("print the table: %w", err)
	}
	return nil
}
