package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rivo/uniseg"

	"homeroom/doctor"
	"homeroom/internal/display"
)

// pageWidth is the largest width of the report; only a longer name exceeds it.
const pageWidth = 100

// show prints a report, and the results of the repairs.
func (c doctorCommand) show(w io.Writer, report doctor.Report, repairs []repaired) error {
	if c.Output == "table" {
		printReport(w, report, c.Fix)
		return nil
	}
	rows := make([][]string, len(report.Findings))
	for i, f := range report.Findings {
		id := ""
		if f.TenantID != nil {
			id = f.TenantID.String()
		}
		rows[i] = []string{string(f.Severity), string(f.Code), f.Server, f.Subject, id, f.Detail, f.Fix, f.Advice}
	}
	return c.print(w, []string{"SEVERITY", "CODE", "SERVER", "SUBJECT", "TENANT", "DETAIL", "FIX", "ADVICE"}, rows, struct {
		doctor.Report
		TookMS  int64      `json:"tookMs"`
		Repairs []repaired `json:"repairs,omitempty"`
	}{report, report.Duration.Milliseconds(), repairs})
}

// printReport shows the findings by code, the worst first, the advice of each code once, and what was examined.
func printReport(w io.Writer, report doctor.Report, fixed bool) {
	looked, verdict := examinedSummary(report), verdictOn(report, fixed)
	for len(report.Findings) > 0 {
		n := slices.IndexFunc(report.Findings, func(f doctor.Finding) bool {
			first := report.Findings[0]
			return f.Code != first.Code || f.Severity != first.Severity || f.Advice != first.Advice || f.Fix != first.Fix
		})
		if n < 0 {
			n = len(report.Findings)
		}
		printFindings(w, report.Findings[:n])
		report.Findings = report.Findings[n:]
	}
	for _, skipped := range report.Skipped {
		printWrapped(w, "", skipped)
	}
	fmt.Fprintln(w, looked)
	fmt.Fprintln(w, verdict)
}

// printFindings shows the findings of one code.
func printFindings(w io.Writer, findings []doctor.Finding) {
	const shown = 20
	first := findings[0]
	fmt.Fprintf(w, "%-7s  %s\n", first.Severity, first.Code)
	for _, f := range findings[:min(shown, len(findings))] {
		subject := f.Subject
		if f.Server != "" && f.Server != f.Subject {
			subject += " (" + f.Server + ")"
		}
		printWrapped(w, "         ", subject+": "+f.Detail+".")
	}
	if more := len(findings) - shown; more > 0 {
		fmt.Fprintf(w, "         and %d more: homeroom doctor -o csv lists all\n", more)
	}
	if first.Fix != "" {
		printWrapped(w, "         --fix:  ", upperFirst(first.Fix)+".")
	}
	printWrapped(w, "         Advice: ", strings.TrimRight(first.Advice, ".")+".")
	printSteps(w, findings)
	fmt.Fprintln(w)
}

// printSteps shows what to do next, each step once. Commands and statements have lines of their own, to be copied.
func printSteps(w io.Writer, findings []doctor.Finding) {
	const shown = 20
	var steps []doctor.Step
	for _, f := range findings {
		for _, step := range f.Next {
			if !slices.Contains(steps, step) {
				steps = append(steps, step)
			}
		}
	}
	for _, step := range steps[:min(shown, len(steps))] {
		text, line := step.Text, step.Command
		if step.SQL != "" {
			text, line = step.Text+", in database "+step.Database, step.SQL
		}
		printWrapped(w, "         Next:   ", text+":")
		fmt.Fprintln(w, "           "+line)
	}
	if more := len(steps) - shown; more > 0 {
		fmt.Fprintf(w, "         and %s more: homeroom doctor -o json lists all\n", amount(more, "step"))
	}
}

func upperFirst(text string) string { return strings.ToUpper(text[:1]) + text[1:] }

// printWrapped prints a text after lead, and indents its further lines by the width of lead.
func printWrapped(w io.Writer, lead, text string) {
	indent := strings.Repeat(" ", len(lead))
	if strings.TrimSpace(lead) == "" {
		indent += "  "
	}
	line, empty := lead, true
	for word := range strings.FieldsSeq(text) {
		if !empty && uniseg.StringWidth(line)+1+uniseg.StringWidth(word) > pageWidth {
			fmt.Fprintln(w, line)
			line, empty = indent, true
		}
		if !empty {
			line += " "
		}
		line, empty = line+word, false
	}
	fmt.Fprintln(w, line)
}

// examinedSummary says what was examined.
func examinedSummary(report doctor.Report) string {
	c := report.Counts
	looked := fmt.Sprintf("Examined %s, %s, %s, %s in %s.", amount(c.Tenants, "tenant"), amount(c.Servers, "server"),
		amount(c.Identities, "identity"), amount(c.Unfinished, "unfinished sign-up"), seconds(report.Duration))
	if c.Opened < c.Tenants {
		looked += fmt.Sprintf(" Opened %s.", amount(c.Opened, "database"))
	}
	return looked
}

// verdictOn says what was found, and what can be done about it. fixed says that the repairs have been done.
func verdictOn(report doctor.Report, fixed bool) string {
	counts, repairable := map[doctor.Severity]int{}, 0
	for _, f := range report.Findings {
		counts[f.Severity]++
		if f.Fix != "" {
			repairable++
		}
	}
	var parts []string
	for _, kind := range []struct {
		severity doctor.Severity
		name     string
	}{{doctor.Error, "error"}, {doctor.Warning, "warning"}, {doctor.Info, "note"}} {
		if n := counts[kind.severity]; n > 0 {
			parts = append(parts, amount(n, kind.name))
		}
	}
	if len(parts) == 0 {
		return "Nothing is wrong."
	}
	found := "Found " + strings.Join(parts, ", ") + "."
	if repairable > 0 && !fixed {
		found += fmt.Sprintf(" homeroom doctor --fix would repair %d of them.", repairable)
	}
	return found
}

func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s" }

// amount returns a number and its noun, with commas between thousands.
func amount(n int, what string) string {
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	switch {
	case n == 1:
		return "1 " + what
	case strings.HasSuffix(what, "ty"):
		return digits + " " + strings.TrimSuffix(what, "y") + "ies"
	}
	return digits + " " + what + "s"
}

// printPlan prints what would be repaired, in order.
func printPlan(w io.Writer, plan []doctor.Finding) {
	fmt.Fprintf(w, "The plan:\n\n")
	for i, f := range plan {
		printWrapped(w, fmt.Sprintf("  %2d. ", i+1), fmt.Sprintf("%s (%s): %s.", f.Subject, f.Code, f.Fix))
	}
	fmt.Fprintln(w)
}

// printRepair prints the result of a repair.
func printRepair(w io.Writer, r repaired) {
	if r.Problem == "" {
		fmt.Fprintf(w, "repaired  %s (%s)\n", display.Text(r.Subject), r.Code)
		return
	}
	printWrapped(w, "failed    ", fmt.Sprintf("%s (%s): %s", r.Subject, r.Code, r.Problem))
}
