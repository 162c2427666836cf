package lb

import (
	"cmp"
	"fmt"
	"io"
	"text/tabwriter"
)

// Report writes the account of every directive as a table, in the order of the
// original, and a line with the sums.
func (c *Config) Report(to io.Writer) error {
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "PLACE\tSECTION\tDIRECTIVE\tOUTCOME\tNOTE")
	sums := map[Outcome]int{}
	for _, d := range c.Directives {
		sums[d.Outcome()]++
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", d.Place, cmp.Or(d.Section, "-"), shorten(d.Text), fate(d), cmp.Or(d.Note(), "-"))
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("print the report: %w", err)
	}
	_, err := fmt.Fprintf(to, "\n%d directives: %d translated, %d translated with a difference, %d not needed, %d not possible\n",
		len(c.Directives), sums[Translated], sums[Different], sums[Unneeded], sums[Impossible])
	if err != nil {
		return fmt.Errorf("print the report: %w", err)
	}
	return nil
}

// fate is the outcome of a directive, and whether access is open that it refuses.
func fate(d *Directive) string {
	if d.Opens() {
		return d.Outcome().String() + ", OPEN"
	}
	return d.Outcome().String()
}

// shorten cuts what is too long for a table.
func shorten(text string) string {
	const most = 80
	if r := []rune(text); len(r) > most {
		return string(r[:most]) + "..."
	}
	return text
}
