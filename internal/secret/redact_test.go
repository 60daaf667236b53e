package secret_test

import (
	"strings"
	"testing"

	"homeroom/internal/secret"
)

func TestARemoteTextIsRedacted(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ä", 400)
	for text, want := range map[string]string{
		"the password pass word is weak":          "the password [redacted] is weak",
		"refused: password=pass+word&x=1":         "refused: password=[redacted]&x=1",
		"pass word with more":                     "[redacted] with more",
		"pass word and hunter2":                   "[redacted] and [redacted]",
		"hunter2hunter2":                          "[redacted]",
		`user "ada@example.com" exists`:           `user "[redacted]" exists`,
		"sent eyJhbGciOiJub25lIn0.eyJhIjoxfQ.sig": "sent [redacted]",
		"Authorization: bearer abc.def/ghi=":      "Authorization: [redacted]",
		"two\nlines\x1b[2J \u202eback\u00a0end":   "two lines [2J  back end",
		"broken \xff bytes":                       "broken ? bytes",
		long:                                      long[:2*300] + "…",
		"":                                        "",
	} {
		if got := secret.Redact(text, "hunter2", "", "pass word", "hunter2hunter2"); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}
