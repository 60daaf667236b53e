package signup

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"homeroom/messages"
)

// DefaultSchoolName returns a name for a school without one, made from its owner's name.
func DefaultSchoolName(name string) string {
	const suffix, longest = "'s school", 100
	runes := []rune(strings.TrimSpace(name))
	return strings.TrimSpace(string(runes[:min(len(runes), longest-len(suffix))])) + suffix
}

// passwordRules are the rules of [Rules.Account].
var passwordRules = []struct {
	archive func(password string) bool
	code    string
	message messages.Message
}{
	{func(p string) bool { return utf8.RuneCountInString(p) >= 8 }, "too_short", messages.ID("field.account_password_short")},
	{func(p string) bool { return strings.ContainsFunc(p, unicode.IsUpper) }, "no_upper_case", messages.ID("field.account_password_upper")},
	{func(p string) bool { return strings.ContainsFunc(p, unicode.IsDigit) }, "no_digit", messages.ID("field.account_password_number")},
	{func(p string) bool { return strings.ContainsFunc(p, special) }, "no_special", messages.ID("field.account_password_special")},
}

func special(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsSpace(r) }

// accountPassword reports every rule that a password breaks, not only the first.
func (v *validation) accountPassword(password string) {
	switch {
	case password == "":
		v.add("password", "required", messages.ID("field.password_is_required"))
		return
	case !printable(password):
		v.add("password", "invalid_characters", messages.ID("field.control_characters"))
	case len(password) > maxPasswordLength:
		v.add("password", "too_long", messages.ID("field.password_long"))
	}
	for _, rule := range passwordRules {
		if !rule.archive(password) {
			v.add("password", rule.code, rule.message)
		}
	}
}
