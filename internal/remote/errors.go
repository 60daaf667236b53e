package remote

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"homeroom/identity"
	"homeroom/internal/secret"
)

// Passing tells whether an answer is about the provider's state rather than about the request.
func (*Client) Passing(ans Answer) bool {
	return ans.Status == http.StatusTooManyRequests || ans.Status == http.StatusRequestTimeout ||
		ans.Status >= http.StatusInternalServerError && ans.Status != http.StatusNotImplemented
}

// Unavailable words an answer for which [Client.Passing] is true, or a success that was not the one that was asked for.
// A gateway may say 502 or 504 after the work was done behind it, so a create's outcome is unknown then.
func (c *Client) Unavailable(req Call, ans Answer, cause error) error {
	if ans.Status == http.StatusTooManyRequests {
		return throttled(c.retryAfter(ans), cause)
	}
	u := &identity.Unavailable{Unknown: req.Creates, Err: cause}
	if ans.Header.Get("Retry-After") != "" {
		u.RetryAfter = c.retryAfter(ans)
	}
	return u
}

// Quote says what the provider answered, in a form that is fit for a log. Empty parts are left out.
func (c *Client) Quote(req Call, ans Answer, parts ...string) error {
	said := []string{fmt.Sprintf("%s %s: %d %s", req.Method, req.Route, ans.Status, http.StatusText(ans.Status))}
	for _, part := range parts {
		if part != "" {
			said = append(said, c.Redact(req, part))
		}
	}
	return errors.New(strings.Join(said, ": "))
}

// maxQuote is how much of a remote text is worth quoting.
const maxQuote = 300

var (
	// A provider may repeat a refused e-mail in its message, and a proxy a header.
	mailLike  = regexp.MustCompile(`[^\s'"<>(),;:]+@[^\s'"<>(),;:]+`)
	tokenLike = regexp.MustCompile(`\beyJ[\w-]+(\.[\w-]*)*|(?i:bearer)\s+[\w.~+/=-]+`)
)

// Redact makes a remote text fit for errors and logs: without what is private, e-mails, tokens and the provider's
// secrets, without control characters, and short.
func (c *Client) Redact(req Call, text string) string {
	hidden := slices.Clone(req.Private)
	for _, value := range c.cfg.Hidden {
		hidden = append(hidden, value.Reveal())
	}
	hidden = append(hidden, c.tokens.last().Reveal())
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
