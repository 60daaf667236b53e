package auth0

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"homeroom/internal/secret"
)

// maxQuote is how much of a remote text is worth quoting.
const maxQuote = 300

var (
	// Auth0 repeats a refused e-mail in its message, and a proxy may repeat a header.
	mailLike  = regexp.MustCompile(`[^\s'"<>(),;:]+@[^\s'"<>(),;:]+`)
	tokenLike = regexp.MustCompile(`\beyJ[\w-]+(\.[\w-]*)*|(?i:bearer)\s+[\w.~+/=-]+`)
)

// redact makes a remote text fit for errors and logs: without the password, e-mails, tokens and the client's secret,
// without control characters, and short.
func (c *Client) redact(req call, text string) string {
	hidden := append([]string{c.cfg.ClientSecret.Reveal()}, req.private...)
	for _, value := range slices.Clone(hidden) {
		hidden = append(hidden, url.QueryEscape(value))
	}
	// The longest first, so that no rest of one is left when it holds another.
	slices.SortFunc(hidden, func(a, b string) int { return len(b) - len(a) })
	for _, value := range hidden {
		if value != "" {
			text = strings.ReplaceAll(text, value, secret.Redacted)
		}
	}
	text = tokenLike.ReplaceAllString(text, secret.Redacted)
	text = mailLike.ReplaceAllString(text, secret.Redacted)
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	if runes := []rune(text); len(runes) > maxQuote {
		text = string(runes[:maxQuote]) + "…"
	}
	return text
}
