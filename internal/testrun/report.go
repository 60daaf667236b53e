package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
)

// event is a line of go test -json (go doc test2json).
type event struct {
	Action, Package, Test, Output string
}

// report prints what go test would print, and how far it is.
type report struct {
	out     io.Writer
	verbose bool
	// packages and tests are how many there are: 0 when that is not known.
	packages, tests int
	now             func() time.Time
	began           time.Time
	// ended are packages, run are tests by themselves, failed those of them that failed.
	ended, run, failed int
	// failures names the tests that failed, and the parts of them.
	failures []string
	// printed are the lines of tests that have not ended: they are shown when one fails.
	printed map[[2]string][]string
	// lastProgress is the last line about the progress.
	lastProgress string
}

func newReport(out io.Writer, verbose bool, count counted, now func() time.Time) *report {
	return &report{
		out: out, verbose: verbose, packages: count.packages, tests: count.tests, now: now, began: now(), printed: map[[2]string][]string{},
	}
}

// read hands out lines, and closes the channel at the end.
func read(from io.Reader) <-chan string {
	lines := make(chan string)
	go func() {
		defer close(lines)
		reader := bufio.NewReader(from)
		for {
			line, err := reader.ReadString('\n')
			if line != "" {
				lines <- line
			}
			if err != nil {
				return
			}
		}
	}()
	return lines
}

// add takes a line of go test -json. One that is not JSON is go's own, and printed.
func (r *report) add(line string) {
	var e event
	if err := json.Unmarshal([]byte(line), &e); err != nil {
		r.print(line)
		return
	}
	switch {
	case e.Action == "output" && e.Test == "":
		if r.verbose || !strings.HasPrefix(e.Output, "PASS\n") {
			r.print(e.Output)
		}
	case e.Action == "output" && r.verbose:
		r.print(e.Output)
	case e.Action == "output":
		key := r.key(e)
		r.printed[key] = append(r.printed[key], e.Output)
	case e.Action == "build-output":
		r.print(e.Output)
	case e.Test == "":
		r.endPackage(e)
	default:
		r.endTest(e)
	}
}

// key is the package and the top test that a line belongs to.
func (r *report) key(e event) [2]string {
	top, _, _ := strings.Cut(e.Test, "/")
	return [2]string{e.Package, top}
}

func (r *report) endTest(e event) {
	if e.Action == "fail" {
		r.failures = append(r.failures, e.Package+" "+e.Test)
	}
	if strings.Contains(e.Test, "/") || e.Action != "pass" && e.Action != "fail" && e.Action != "skip" {
		return
	}
	r.run++
	key := r.key(e)
	if e.Action == "fail" {
		r.failed++
		for _, line := range r.printed[key] {
			if !strings.HasPrefix(line, "=== ") {
				r.print(line)
			}
		}
	}
	delete(r.printed, key)
}

// endPackage tells how far it is. What tests of it have printed that never ended, as in a panic, is shown.
func (r *report) endPackage(e event) {
	if e.Action != "pass" && e.Action != "fail" && e.Action != "skip" {
		return
	}
	r.ended++
	for key, lines := range r.printed {
		if key[0] != e.Package {
			continue
		}
		for _, line := range lines {
			r.print(line)
		}
		delete(r.printed, key)
	}
	if e.Action != "skip" { // a package without tests
		r.progress()
	}
}

func (r *report) print(text string) { _, _ = io.WriteString(r.out, text) }

// progress prints the progress, unless it has not changed.
func (r *report) progress() {
	took := r.now().Sub(r.began)
	text := fmt.Sprintf("%s packages and %s tests have ended, %d failed, after %s", countOf(r.ended, r.packages), countOf(r.run, r.tests), r.failed, rounded(took))
	if r.run > 0 && r.tests > r.run {
		text += fmt.Sprintf("; about %s to go", rounded(time.Duration(float64(took)/float64(r.run)*float64(r.tests-r.run))))
	}
	if text != r.lastProgress {
		r.lastProgress = text
		r.print("… " + text + "\n")
	}
}

// end lists what failed, after everything else: the lines of a failed test may stand far above.
func (r *report) end() {
	for _, test := range r.failures {
		r.print("failed: " + test + "\n")
	}
}

func countOf(n, of int) string {
	if of == 0 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%d of %d", n, of)
}

func rounded(d time.Duration) time.Duration { return d.Round(time.Second) }
