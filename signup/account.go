package signup

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// SchoolOf names a school after its owner, where nobody has named it.
func SchoolOf(name string) string {
	const suffix, longest = "'s school", 100
	runes := []rune(strings.TrimSpace(name))
	return strings.TrimSpace(string(runes[:min(len(runes), longest-len(suffix))])) + suffix
}

// passwordRules are those of [Rules.Account].
var passwordRules = []struct {
	kept          func(password string) bool
	code, message string
}{
	{func(p string) bool { return utf8.RuneCountInString(p) >= 8 }, "too_short", "Password must be at least 8 characters"},
	{func(p string) bool { return strings.ContainsFunc(p, unicode.IsUpper) }, "no_upper_case", "Password must contain at least one uppercase letter"},
	{func(p string) bool { return strings.ContainsFunc(p, unicode.IsDigit) }, "no_digit", "Password must contain at least one number"},
	{func(p string) bool { return strings.ContainsFunc(p, special) }, "no_special", "Password must contain at least one special character"},
}

func special(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsSpace(r) }

// accountPassword names each rule that a password breaks, and not the first alone.
func (v *validation) accountPassword(password string) {
	switch {
	case password == "":
		v.add("password", "required", "Password is required")
		return
	case !printable(password):
		v.add("password", "invalid_characters", "Use no control characters.")
	case len(password) > longestPassword:
		v.add("password", "too_long", "Use at most 72 bytes; longer passwords would be cut.")
	}
	for _, rule := range passwordRules {
		if !rule.kept(password) {
			v.add("password", rule.code, rule.message)
		}
	}
}
