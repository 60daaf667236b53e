package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// machine describes where the numbers come from.
type machine struct {
	Cores    int               `json:"cores"`
	OS       string            `json:"os"`
	Go       string            `json:"go"`
	Postgres string            `json:"postgres"`
	Settings map[string]string `json:"settings"`
	// Load is the number of running processes, averaged over the minute before; empty where the system does not tell.
	Load string `json:"load,omitempty"`
}

// line is the result of one variant. Times are in milliseconds.
type line struct {
	What    string  `json:"what"`
	Clients int     `json:"clients"`
	N       int     `json:"n"`
	Median  float64 `json:"median_ms"`
	P95     float64 `json:"p95_ms"`
	// Rate is the number per second of all clients; zero if it is not reported.
	Rate float64 `json:"per_second,omitempty"`
}

// verdict is a number with a target.
type verdict struct {
	What  string  `json:"what"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
	// Target is empty if there is none.
	Target string `json:"target,omitempty"`
	Met    *bool  `json:"met,omitempty"`
}

// atLeast and atMost compare a value with a limit. A limit of 0 is no target.
func atLeast(what string, value float64, unit string, limit float64) verdict {
	return judge(what, value, unit, "≥", limit, value >= limit)
}

func atMost(what string, value float64, unit string, limit float64) verdict {
	return judge(what, value, unit, "≤", limit, value <= limit)
}

func judge(what string, value float64, unit, sign string, limit float64, met bool) verdict {
	v := verdict{What: what, Value: value, Unit: unit}
	if limit > 0 {
		v.Target, v.Met = fmt.Sprintf("%s %g %s", sign, limit, unit), &met
	}
	return v
}

// results are the results of a section.
type results struct {
	title    string
	lines    []line
	verdicts []verdict
}

// report is the whole run.
type report struct {
	Machine  machine   `json:"machine"`
	Lines    []line    `json:"measured"`
	Verdicts []verdict `json:"verdicts"`

	sections []results
}

func (r *report) add(found results) {
	r.sections = append(r.sections, found)
	r.Lines = append(r.Lines, found.lines...)
	r.Verdicts = append(r.Verdicts, found.verdicts...)
}

func (r *report) writeJSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(r)
}

// writeText prints tables that fit into 100 columns.
func (r *report) writeText(w io.Writer) error {
	var b strings.Builder
	r.Machine.write(&b)
	for _, s := range r.sections {
		if len(s.lines) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n%s%8s%6s%11s%11s%11s\n", pad(s.title, 52), "clients", "n", "median", "p95", "a second")
		for _, l := range s.lines {
			rate := ""
			if l.Rate > 0 {
				rate = digits(l.Rate)
			}
			text := fmt.Sprintf("%s%8d%6d%11s%11s%11s", pad(l.What, 52), l.Clients, l.N, digits(l.Median)+" ms", digits(l.P95)+" ms", rate)
			fmt.Fprintln(&b, strings.TrimRight(text, " "))
		}
	}
	fmt.Fprintf(&b, "\n%s%11s   target\n", pad("TARGETS, AND RATIOS OF MEDIANS", 66), "measured")
	for _, v := range r.Verdicts {
		mark := ""
		if v.Met != nil {
			mark = map[bool]string{true: "met", false: "MISSED"}[*v.Met]
		}
		text := fmt.Sprintf("%s%11s   %s%s", pad(v.What, 66), digits(v.Value)+" "+v.Unit, pad(v.Target, 10), mark)
		fmt.Fprintln(&b, strings.TrimRight(text, " "))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (m machine) write(b *strings.Builder) {
	fmt.Fprintf(b, "\n%d cores, %s, %s, Postgres %s", m.Cores, m.OS, m.Go, m.Postgres)
	if m.Load != "" {
		fmt.Fprintf(b, ", load %s at the start", m.Load)
	}
	var settings []string
	for _, name := range slices.Sorted(maps.Keys(m.Settings)) {
		settings = append(settings, name+"="+m.Settings[name])
	}
	half := (len(settings) + 1) / 2
	fmt.Fprintf(b, "\n%s\n%s\n", strings.Join(settings[:half], "  "), strings.Join(settings[half:], "  "))
}

// pad fills a text up to a width, counted in characters as a terminal shows them.
func pad(text string, width int) string {
	return text + strings.Repeat(" ", max(width-utf8.RuneCountInString(text), 0))
}

// digits writes a number with three significant digits.
func digits(value float64) string {
	decimals := 0
	switch {
	case value < 10:
		decimals = 2
	case value < 100:
		decimals = 1
	}
	return strconv.FormatFloat(value, 'f', decimals, 64)
}
