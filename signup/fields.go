package signup

import (
	"maps"
	"regexp"
	"slices"

	"golang.org/x/text/language"

	"homeroom/identity"
	"homeroom/messages"
)

// Presence says whether a field may, must or cannot be there.
type Presence string

// The presences of a field. The zero value is for a field that is not asked for.
const (
	Optional Presence = "optional"
	Required Presence = "required"
)

// Fields says which fields are asked for beside those that every sign-up has. Its keys are "givenName", "familyName" and
// those of [identity.ProfileFields]; the first two are optional when they are not named.
type Fields map[string]Presence

// Valid reports whether all its fields are known.
func (f Fields) Valid() bool {
	for name, presence := range f {
		known := name == "givenName" || name == "familyName" || slices.Contains(identity.ProfileFields, name)
		if !known || (presence != Optional && presence != Required) {
			return false
		}
	}
	return true
}

// maxFieldLength bounds a field of the profile: Auth0 keeps at most 500 characters of each.
const maxFieldLength = 200

// e164 is a telephone number as ITU-T E.164 writes it.
var e164 = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)

// phoneSeparators is what people write between the digits of a number.
var phoneSeparators = regexp.MustCompile(`[\s().\-/]`)

// profile checks the fields of a profile. What nobody asked for is refused, and what is empty left out.
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

// phone brings a number to E.164.
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

// locale is the tag in its one spelling, or empty when it is none.
func locale(tag string) string {
	parsed, err := language.Parse(tag)
	if err != nil || tag == "" {
		return ""
	}
	return parsed.String()
}
