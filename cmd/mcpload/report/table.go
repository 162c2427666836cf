package report

import (
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"mcplb/plot"
)

// Table is what a benchmark measured: figures of cases, in the order in which they
// were added.
type Table struct {
	Kind    string // what the cases are, such as "clients"
	entries []figure
}

// figure is one value of one case. The CSV file is a list of them.
type figure struct {
	name  string // the case, such as a number of clients
	what  string // the figure, with its unit, such as "p99 ms"
	value float64
}

// Add adds a figure of a case.
func (t *Table) Add(name, what string, value float64) {
	t.entries = append(t.entries, figure{name, what, value})
}

// Cases returns the names of the cases, in the order of their first figure.
func (t *Table) Cases() []string {
	return distinct(t.entries, func(f figure) string { return f.name })
}

// figures returns the figures, in the order of the first case that has each.
func (t *Table) figures() []string {
	return distinct(t.entries, func(f figure) string { return f.what })
}

func distinct(entries []figure, of func(figure) string) []string {
	var list []string
	for _, f := range entries {
		if s := of(f); !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return list
}

// Value returns one figure; false if the case does not have it.
func (t *Table) Value(name, what string) (float64, bool) {
	for _, f := range t.entries {
		if f.name == name && f.what == what {
			return f.value, true
		}
	}
	return 0, false
}

// Row returns a figure of every case, 0 if a case does not have it.
func (t *Table) Row(what string) []float64 {
	var values []float64
	for _, name := range t.Cases() {
		value, _ := t.Value(name, what)
		values = append(values, value)
	}
	return values
}

// Medians replaces figures that were added several times by their median.
func (t *Table) Medians() {
	var single []figure
	for _, name := range t.Cases() {
		for _, what := range t.figures() {
			var values []float64
			for _, f := range t.entries {
				if f.name == name && f.what == what {
					values = append(values, f.value)
				}
			}
			if len(values) > 0 {
				slices.Sort(values)
				single = append(single, figure{name, what, (values[(len(values)-1)/2] + values[len(values)/2]) / 2})
			}
		}
	}
	t.entries = single
}

// Markdown writes the table with the shorter list, of cases or of figures, as the
// columns.
func (t *Table) Markdown(w io.Writer) error {
	rows, columns, corner := t.Cases(), t.figures(), t.Kind
	find := t.Value
	if len(rows) < len(columns) {
		rows, columns, corner = columns, rows, ""
		find = func(what, name string) (float64, bool) { return t.Value(name, what) }
	}
	var b strings.Builder
	fmt.Fprintf(&b, "| %s |", corner)
	for _, column := range columns {
		fmt.Fprintf(&b, " %s |", column)
	}
	fmt.Fprintf(&b, "\n|%s\n", strings.Repeat("---|", len(columns)+1))
	for _, row := range rows {
		fmt.Fprintf(&b, "| %s |", row)
		for _, column := range columns {
			cell := "-"
			if value, ok := find(row, column); ok {
				cell = plot.Number(value)
			}
			fmt.Fprintf(&b, " %s |", cell)
		}
		b.WriteString("\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteCSV writes one row per figure.
func (t *Table) WriteCSV(w io.Writer) error {
	rows := [][]string{{t.Kind, "figure", "value"}}
	for _, f := range t.entries {
		rows = append(rows, []string{f.name, f.what, strconv.FormatFloat(f.value, 'g', 6, 64)})
	}
	return csv.NewWriter(w).WriteAll(rows)
}

// ReadTable reads a file that WriteCSV wrote.
func ReadTable(path string) (*Table, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read an earlier result: %w", err)
	}
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil || len(rows) == 0 || len(rows[0]) != 3 {
		return nil, fmt.Errorf("read an earlier result: %s is not a table of mcpload (%v)", path, err)
	}
	t := &Table{Kind: rows[0][0]}
	for _, row := range rows[1:] {
		value, err := strconv.ParseFloat(row[2], 64)
		if err != nil {
			return nil, fmt.Errorf("read an earlier result %s: %w", path, err)
		}
		t.Add(row[0], row[1], value)
	}
	return t, nil
}

// Compare writes how much each figure differs from that of an earlier run.
func (t *Table) Compare(w io.Writer, earlier *Table) error {
	var b strings.Builder
	fmt.Fprintf(&b, "\nagainst the earlier run:\n")
	for _, f := range t.entries {
		was, ok := earlier.Value(f.name, f.what)
		switch {
		case !ok:
			fmt.Fprintf(&b, "  %s, %s: %s, not measured then\n", f.name, f.what, plot.Number(f.value))
		case was != 0:
			fmt.Fprintf(&b, "  %s, %s: %s, was %s (%+.0f%%)\n", f.name, f.what, plot.Number(f.value), plot.Number(was), 100*(f.value-was)/was)
		case f.value != 0:
			fmt.Fprintf(&b, "  %s, %s: %s, was 0\n", f.name, f.what, plot.Number(f.value))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
