package report

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"os"
	"strconv"
	"strings"

	"mcplb/plot"
)

// Files are the paths of a report's files; "" = the file is not written.
type Files struct{ JSON, CSV, HTML string }

// WriteFiles writes the report to files.
func (r *Report) WriteFiles(f Files) error {
	return errors.Join(writeFile(f.JSON, r.WriteJSON), writeFile(f.CSV, r.WriteCSV), writeFile(f.HTML, r.WriteHTML))
}

// writeFile creates a file with what write writes; path "" is ignored.
func writeFile(path string, write func(io.Writer) error) error {
	if path == "" {
		return nil
	}
	file, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	if err := errors.Join(write(file), file.Close()); err != nil {
		return fmt.Errorf("write the report to %s: %w", path, err)
	}
	return nil
}

// WriteJSON writes the report as JSON.
func (r *Report) WriteJSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", " ")
	return encoder.Encode(r)
}

// WriteCSV writes one row per sample.
func (r *Report) WriteCSV(w io.Writer) error {
	header := []string{"seconds", "phase", "started", "held", "away", "answers_per_second", "lost", "p50_ms", "p95_ms", "p99_ms", "max_ms"}
	nodes := 0
	for _, s := range r.Samples {
		nodes = max(nodes, len(s.Sessions))
	}
	for i := range nodes {
		header = append(header, r.nodeName(i+1)+"_sessions")
	}
	for _, w := range r.Watched {
		header = append(header, w.Name+"_resident_mb", w.Name+"_cpu_seconds")
	}
	rows := [][]string{header}
	for _, s := range r.Samples {
		rows = append(rows, s.row(nodes))
	}
	return csv.NewWriter(w).WriteAll(rows)
}

// row returns the sample's row in a table with that many nodes.
func (s *Sample) row(nodes int) []string {
	row := []string{decimal(s.Seconds, 3), s.Phase, strconv.Itoa(s.Started), strconv.Itoa(s.Held), strconv.Itoa(s.Away), decimal(s.PerSec, 1),
		strconv.FormatUint(s.Lost, 10), decimal(s.Latency.P50, 3), decimal(s.Latency.P95, 3), decimal(s.Latency.P99, 3), decimal(s.Latency.Max, 3)}
	for i := range nodes {
		sessions := 0
		if i < len(s.Sessions) {
			sessions = s.Sessions[i]
		}
		row = append(row, strconv.Itoa(sessions))
	}
	for _, u := range s.Watched {
		row = append(row, decimal(MB(u.Resident), 1), decimal(u.CPU.Seconds(), 2))
	}
	return row
}

func decimal(x float64, digits int) string { return strconv.FormatFloat(x, 'f', digits, 64) }

// WriteHTML writes the report as one page that loads nothing: the plots, and the
// text of Print.
func (r *Report) WriteHTML(w io.Writer) error {
	var text strings.Builder
	if err := r.Print(&text); err != nil {
		return err
	}
	title := r.Title
	if title == "" {
		title = fmt.Sprintf("mcpload: %d clients (%s)", r.Clients, r.Mix)
	}
	return writePage(w, title, text.String(), r.Charts())
}

func writePage(w io.Writer, title, text string, charts []plot.Chart) error {
	var page strings.Builder
	fmt.Fprintf(&page, "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>%s</title>\n<h1>%s</h1>\n", html.EscapeString(title), html.EscapeString(title))
	for i := range charts {
		page.WriteString("<figure>\n" + charts[i].SVG() + "</figure>\n")
	}
	fmt.Fprintf(&page, "<pre>%s</pre>\n</html>\n", html.EscapeString(text))
	_, err := io.WriteString(w, page.String())
	return err
}
