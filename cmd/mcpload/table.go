package main

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

// measurement is one figure of one case: a benchmark's CSV is a list of them.
type measurement struct {
	name  string // the case, such as a number of clients
	what  string // the figure, with its unit, such as "p99 ms"
	value float64
}

// table is what a benchmark measured, in the order of its cases and figures.
type table struct {
	kind    string // what the cases are, such as "clients"
	entries []measurement
}

func (t *table) add(name, what string, value float64) {
	t.entries = append(t.entries, measurement{name, what, value})
}

// cases are the names, in the order of their first figure.
func (t *table) cases() []string {
	return distinct(t.entries, func(m measurement) string { return m.name })
}

// figures are what was measured, in the order of the first case that has it.
func (t *table) figures() []string {
	return distinct(t.entries, func(m measurement) string { return m.what })
}

func distinct(entries []measurement, of func(measurement) string) []string {
	var list []string
	for _, m := range entries {
		if s := of(m); !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return list
}

// value is one figure; false when the case has none.
func (t *table) value(name, what string) (float64, bool) {
	for _, m := range t.entries {
		if m.name == name && m.what == what {
			return m.value, true
		}
	}
	return 0, false
}

// row is a figure's value in every case, 0 where there is none.
func (t *table) row(what string) []float64 {
	var values []float64
	for _, name := range t.cases() {
		value, _ := t.value(name, what)
		values = append(values, value)
	}
	return values
}

// markdown writes the table, with the fewer of cases and figures as columns.
func (t *table) markdown(w io.Writer) error {
	rows, columns, corner := t.cases(), t.figures(), t.kind
	find := t.value
	if len(rows) < len(columns) {
		rows, columns, corner = columns, rows, ""
		find = func(what, name string) (float64, bool) { return t.value(name, what) }
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

// medians replaces figures that were taken several times by their median.
func (t *table) medians() {
	var single []measurement
	for _, name := range t.cases() {
		for _, what := range t.figures() {
			var values []float64
			for _, m := range t.entries {
				if m.name == name && m.what == what {
					values = append(values, m.value)
				}
			}
			if len(values) > 0 {
				slices.Sort(values)
				single = append(single, measurement{name, what, (values[(len(values)-1)/2] + values[len(values)/2]) / 2})
			}
		}
	}
	t.entries = single
}

func (t *table) writeCSV(w io.Writer) error {
	rows := [][]string{{t.kind, "figure", "value"}}
	for _, m := range t.entries {
		rows = append(rows, []string{m.name, m.what, strconv.FormatFloat(m.value, 'g', 6, 64)})
	}
	return csv.NewWriter(w).WriteAll(rows)
}

// readTable reads what writeCSV wrote.
func readTable(path string) (*table, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read an earlier result: %w", err)
	}
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil || len(rows) == 0 || len(rows[0]) != 3 {
		return nil, fmt.Errorf("read an earlier result: %s is not one of mcpload bench (%v)", path, err)
	}
	t := &table{kind: rows[0][0]}
	for _, row := range rows[1:] {
		value, err := strconv.ParseFloat(row[2], 64)
		if err != nil {
			return nil, fmt.Errorf("read an earlier result %s: %w", path, err)
		}
		t.add(row[0], row[1], value)
	}
	return t, nil
}

// compare writes how far each figure is off an earlier run's.
func (t *table) compare(w io.Writer, earlier *table) error {
	var b strings.Builder
	fmt.Fprintf(&b, "\nagainst the earlier run:\n")
	for _, m := range t.entries {
		was, ok := earlier.value(m.name, m.what)
		switch {
		case !ok:
			fmt.Fprintf(&b, "  %s, %s: %s, not measured then\n", m.name, m.what, plot.Number(m.value))
		case was != 0:
			fmt.Fprintf(&b, "  %s, %s: %s, was %s (%+.0f%%)\n", m.name, m.what, plot.Number(m.value), plot.Number(was), 100*(m.value-was)/was)
		case m.value != 0:
			fmt.Fprintf(&b, "  %s, %s: %s, was 0\n", m.name, m.what, plot.Number(m.value))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
