package main

import (
	"encoding/csv"
	"encoding/json"
	"io"
	"strings"

	"github.com/rivo/uniseg"
)

// output is the choice of a form for lists.
type output struct {
	Output string `short:"o" enum:"table,json,csv" default:"table" help:"Form of the list: table, json or csv."`
}

// print writes a list: the rows for people and spreadsheets, the items for programs.
func (o output) print(w io.Writer, header []string, rows [][]string, items any) error {
	switch o.Output {
	case "json":
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return encoder.Encode(items)
	case "csv":
		out := csv.NewWriter(w)
		if err := out.Write(header); err != nil {
			return err
		}
		return out.WriteAll(rows)
	}
	return printTable(w, append([][]string{header}, rows...))
}

// printTable aligns columns by what a terminal shows: a Chinese character takes two cells, an accent none.
func printTable(w io.Writer, rows [][]string) error {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], uniseg.StringWidth(cell))
		}
	}
	var text strings.Builder
	for _, row := range rows {
		for i, cell := range row {
			text.WriteString(cell)
			if i < len(row)-1 {
				text.WriteString(strings.Repeat(" ", widths[i]-uniseg.StringWidth(cell)+2))
			}
		}
		text.WriteByte('\n')
	}
	_, err := io.WriteString(w, text.String())
	return err
}
