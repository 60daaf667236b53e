package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"homeroom/fleet"
	"homeroom/internal/display"
)

// progress shows the progress of a run: a bar on a terminal, a line every ten seconds elsewhere.
func progress(w io.Writer) func(fleet.Progress) {
	if file := terminal(w); file != nil {
		return bar(file)
	}
	return lines(w)
}

// terminal returns the terminal that a writer writes to, or nil. Text that is written to it directly is not escaped.
func terminal(w io.Writer) *os.File {
	file, ok := display.Unwrap(w).(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return nil
	}
	return file
}

func bar(w io.Writer) func(fleet.Progress) {
	var bar *progressbar.ProgressBar
	return func(p fleet.Progress) {
		if bar == nil {
			bar = progressbar.NewOptions(p.Total,
				progressbar.OptionSetWriter(w), progressbar.OptionShowCount(), progressbar.OptionShowIts(),
				progressbar.OptionSetItsString("tenants"), progressbar.OptionSetWidth(30), progressbar.OptionClearOnFinish(),
				progressbar.OptionThrottle(50*time.Millisecond), progressbar.OptionSetPredictTime(true))
		}
		bar.ChangeMax(p.Total)
		bar.Describe(describe(p))
		_ = bar.Set(p.Done + p.Failed)
	}
}

// describe says in which wave a run is, and how many tenants failed.
func describe(p fleet.Progress) string {
	text := "migrating"
	if p.Waves > 1 {
		text = fmt.Sprintf("wave %d of %d", p.Wave, p.Waves)
	}
	if p.Failed > 0 {
		text += fmt.Sprintf(" (%d failed)", p.Failed)
	}
	return text
}

// lines writes a line every ten seconds, for logs.
func lines(w io.Writer) func(fleet.Progress) {
	const every = 10 * time.Second
	last := time.Now()
	return func(p fleet.Progress) {
		if time.Since(last) < every && p.Done+p.Failed < p.Total {
			return
		}
		last = time.Now()
		rate := float64(p.Done+p.Failed) / max(p.Elapsed.Seconds(), 0.001)
		fmt.Fprintf(w, "%d of %d tenants migrated, %d failed, %.1f a second\n", p.Done, p.Total, p.Failed, rate)
	}
}

// counter shows a count on a terminal, and nothing elsewhere.
func counter(w io.Writer, what string) func(n int) {
	file := terminal(w)
	if file == nil {
		return nil
	}
	bar := progressbar.NewOptions(-1, progressbar.OptionSetWriter(file), progressbar.OptionSetDescription(what),
		progressbar.OptionShowCount(), progressbar.OptionClearOnFinish(), progressbar.OptionThrottle(50*time.Millisecond))
	return func(n int) { _ = bar.Set(n) }
}
