package secret

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// maxQuote is how many characters of a remote text are worth quoting.
const maxQuote = 300

var (
	// A service may repeat a refused e-mail in its message, and a proxy a header.
	mailLike  = regexp.MustCompile(`[^\s'"<>(),;:]+@[^\s'"<>(),;:]+`)
	tokenLike = regexp.MustCompile(`\beyJ[\w-]+(\.[\w-]*)*|(?i:bearer)\s+[\w.~+/=-]+`)
)

// Redact makes a text from outside fit for errors and logs: without the hidden values, also where they are encoded for an
// address, without e-mails and tokens, without characters that cannot be printed, and short.
func Redact(text string, hidden ...string) string {
	hidden = slices.Clone(hidden)
	for _, value := range slices.Clone(hidden) {
		hidden = append(hidden, url.QueryEscape(value))
	}
	// The longest first, so that no rest of one is left when it holds another.
	slices.SortFunc(hidden, func(a, b string) int { return len(b) - len(a) })
	for _, value := range hidden {
		if value != "" {
			text = strings.ReplaceAll(text, value, Redacted)
		}
	}
	text = tokenLike.ReplaceAllString(text, Redacted)
	text = mailLike.ReplaceAllString(text, Redacted)
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	if runes := []rune(text); len(runes) > maxQuote {
		text = string(runes[:maxQuote]) + "…"
	}
	return text
}
