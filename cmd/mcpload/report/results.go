package report

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"mcplb/plot"
)

// Results are a table and its plots, under a name.
type Results struct {
	Name   string
	Table  *Table
	Charts []plot.Chart
}

// Write prints the table and writes it to NAME.csv and NAME.md, and the plots to
// NAME.svg or NAME-1.svg, NAME-2.svg and so on, in a directory, which it creates.
// Unless against is "", it compares the table with NAME.csv in that directory.
func (r *Results) Write(w io.Writer, directory, against string) error {
	if err := r.Table.Markdown(w); err != nil {
		return err
	}
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return fmt.Errorf("create the directory for results: %w", err)
	}
	path := filepath.Join(directory, r.Name)
	err := errors.Join(writeFile(path+".csv", r.Table.WriteCSV), writeFile(path+".md", r.Table.Markdown))
	for i := range r.Charts {
		file := path + ".svg"
		if len(r.Charts) > 1 {
			file = fmt.Sprintf("%s-%d.svg", path, i+1)
		}
		err = errors.Join(err, writeFile(file, func(w io.Writer) error {
			_, err := io.WriteString(w, r.Charts[i].SVG())
			return err
		}))
	}
	if err != nil || against == "" {
		return err
	}
	earlier, err := ReadTable(filepath.Join(against, r.Name+".csv"))
	if err != nil {
		return err
	}
	return r.Table.Compare(w, earlier)
}
