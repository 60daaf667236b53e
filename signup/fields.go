package signup

import (
	"maps"
	"regexp"
	"slices"

	"golang.org/x/text/language"

	"homeroom/identity"
	"homeroom/messages"
)

// Presence says whether a field is not asked for, optional, or required.
type Presence string

// The values of Presence. The zero value is for a field that is not asked for.
const (
	Optional Presence = "optional"
	Required Presence = "required"
)

// Fields says which fields a sign-up asks for besides those that every sign-up has. Its keys are "givenName",
// "familyName" and those of [identity.ProfileFields]. The first two are optional by default.
type Fields map[string]Presence

// valid reports whether all fields are known.
func (f Fields) valid() bool {
	for name, presence := range f {
		known := name == "givenName" || name == "familyName" || slices.Contains(identity.ProfileFields, name)
		if !known || (presence != Optional && presence != Required) {
			return false
		}
	}
	return true
}

// maxFieldLength is the length of a profile field at most: Auth0 stores 500 characters of each.
const maxFieldLength = 200

// e164 is a telephone number in the form of ITU-T E.164.
var e164 = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)

// phoneSeparators are characters that people write between the digits of a number.
var phoneSeparators = regexp.MustCompile(`[\s().\-/]`)

// profile checks the fields of a profile. It rejects fields that are not asked for, and omits empty ones.
func (v *validation) profile(profile map[string]string, asked Fields) map[string]string {
	archive := map[string]string{}
	for _, field := range identity.ProfileFields {
		text, presence := profile[field], asked[field]
		if presence == "" {
			if text != "" {
				v.add(field, "unexpected", messages.ID("field.unexpected"))
			}
			continue
		}
		if field == "phone" {
			text = v.phone(field, text, presence == Required)
		} else {
			text = v.text(field, text, 1, maxFieldLength, presence == Required)
		}
		if text != "" {
			archive[field] = text
		}
	}
	for _, field := range slices.Sorted(maps.Keys(profile)) {
		if !slices.Contains(identity.ProfileFields, field) {
			v.add(field, "unexpected", messages.ID("field.unexpected"))
		}
	}
	return archive
}

// phone returns a number in the form of E.164.
func (v *validation) phone(field, text string, required bool) string {
	text = phoneSeparators.ReplaceAllString(text, "")
	switch {
	case text == "" && required:
		v.add(field, "required", messages.ID("field.phone_required"))
	case text != "" && !e164.MatchString(text):
		v.add(field, "invalid_format", messages.ID("field.phone_invalid"))
	}
	return text
}

// locale returns the tag in its canonical form, or an empty string when it is not a language tag.
func locale(tag string) string {
	parsed, err := language.Parse(tag)
	if err != nil || tag == "" {
		return ""
	}
	return parsed.String()
}
