// Package display writes results for terminals, spreadsheets and programs so that nothing in them takes effect there.
//
// What is shown may come from a tenant's database: names of tables, and texts that Postgres made of them.
package display

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// Text is a text on one line, with every control character written as an escape, such as \u001b.
func Text(text string) string { return escape(text, hidden) }

// hidden reports whether a character is not to be shown as it is: controls, line and paragraph separators, and what changes
// the direction of the text after it. Joiners stay: some scripts are not readable without them.
func hidden(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' || r == utf8.RuneError
}

// escape writes each character that must be hidden as JSON would.
func escape(text string, mustHide func(rune) bool) string {
	if utf8.ValidString(text) && strings.IndexFunc(text, mustHide) < 0 {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if mustHide(r) {
			fmt.Fprintf(&b, `\u%04x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// Cell is a text for a spreadsheet: on one line, and never a formula. A cell that begins like one gets an apostrophe before it,
// which spreadsheets do not show. A lone dash stands for nothing, and stays.
func Cell(text string) string {
	if text != "" && text != "-" && strings.ContainsRune("=+-@\t\r", rune(text[0])) {
		text = "'" + text
	}
	return Text(text)
}

// Writer passes on what is written, with the control characters in it escaped, except line breaks and tabs. Within JSON that
// is the same value in other letters. Many goroutines may write.
func Writer(to io.Writer) io.Writer { return &writer{to: to} }

type writer struct {
	mu   sync.Mutex
	to   io.Writer
	rest []byte // the beginning of a character
}

// Write implements [io.Writer].
func (w *writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	text := slices.Concat(w.rest, p)
	whole := len(text)
	for back := 1; back < utf8.UTFMax && back <= len(text); back++ {
		if at := len(text) - back; utf8.RuneStart(text[at]) {
			if !utf8.FullRune(text[at:]) {
				whole = at
			}
			break
		}
	}
	w.rest = text[whole:]
	if _, err := io.WriteString(w.to, escape(string(text[:whole]), unsafe)); err != nil {
		return 0, err
	}
	return len(p), nil
}

func unsafe(r rune) bool { return r != '\n' && r != '\t' && hidden(r) }

// Unwrap is the writer behind one that [Writer] made, for whoever must know whether it is a terminal; another is returned as
// it is.
func Unwrap(w io.Writer) io.Writer {
	if wrapped, ok := w.(*writer); ok {
		return wrapped.to
	}
	return w
}
