package main

import (
	"encoding/csv"
	"io"
	"strings"

	"github.com/rivo/uniseg"

	"homeroom/catalog"
	"homeroom/internal/display"
)

// output is the format of a list.
type output struct {
	Output string `short:"o" enum:"table,json,csv" default:"table" help:"Format of the list: table, json or csv."`
}

// print writes a list: the rows as a table or CSV, the items as JSON.
func (o output) print(w io.Writer, header []string, rows [][]string, items any) error {
	switch o.Output {
	case "json":
		return display.JSON(w, items, "  ")
	case "csv":
		out := csv.NewWriter(w)
		if err := out.Write(header); err != nil {
			return err
		}
		return out.WriteAll(each(rows, display.Cell))
	}
	return printTable(w, append([][]string{header}, rows...))
}

// pageSize is how many rows of a list are read at a time.
const pageSize = 200

// allPages reads a list to its end.
func allPages[T any](page func(cursor string) (catalog.Page[T], error)) (all []T, err error) {
	for cursor := ""; ; {
		next, err := page(cursor)
		if err != nil {
			return nil, err
		}
		all = append(all, next.Rows...)
		if cursor = next.NextCursor; cursor == "" {
			return all, nil
		}
	}
}

// each applies a function to every cell.
func each(rows [][]string, f func(string) string) [][]string {
	all := make([][]string, len(rows))
	for i, row := range rows {
		all[i] = make([]string, len(row))
		for j, cell := range row {
			all[i][j] = f(cell)
		}
	}
	return all
}

// printTable aligns columns by their width on a terminal: a Chinese character takes two cells, an accent none.
func printTable(w io.Writer, rows [][]string) error {
	rows = each(rows, display.Text)
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
