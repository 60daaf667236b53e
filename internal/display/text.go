// Package display writes results for terminals, spreadsheets and programs, without characters that have an effect
// there.
//
// The texts may come from a tenant's database, such as names of tables, or errors of Postgres.
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

// Text returns a text on one line, with every control character written as an escape, such as \u001b.
func Text(text string) string { return escape(text, hidden) }

// hidden reports whether a character must be escaped: control characters, line and paragraph separators, and
// characters that change the direction of text. Joiners are kept, since some scripts need them.
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

// Cell returns a text for a spreadsheet: on one line, and never a formula. A cell that begins like a formula gets an
// apostrophe before it, which spreadsheets do not show. A single dash, which stands for nothing, is kept.
func Cell(text string) string {
	if text != "" && text != "-" && strings.ContainsRune("=+-@\t\r", rune(text[0])) {
		text = "'" + text
	}
	return Text(text)
}

// Writer returns a writer that escapes control characters, except line breaks and tabs. In JSON the escaped text has
// the same value. Many goroutines may write.
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

// Unwrap returns the writer behind one that [Writer] made, for callers that must know whether it is a terminal. Any
// other writer is returned as it is.
func Unwrap(w io.Writer) io.Writer {
	if wrapped, ok := w.(*writer); ok {
		return wrapped.to
	}
	return w
}
