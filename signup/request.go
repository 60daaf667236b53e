package signup

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"homeroom/catalog"
	"homeroom/identity"
	"homeroom/internal/secret"
	"homeroom/messages"
)

// Request is a school's request to sign up.
type Request struct {
	Email      string
	Password   secret.String
	SchoolName string
	// Person is optional, apart from the fields that the service's rules require.
	catalog.Person
	// Locale is the person's language, as a BCP 47 tag; may be empty.
	Locale string
	// Account is the account that the person has proven to own, by a token of the identity provider; nil if the sign-up
	// creates one. The e-mail is then the account's, and there is no password.
	Account *identity.User
	// Invitation is the token of an invitation, from its mail; may be empty.
	Invitation string
	// IdempotencyKey makes a repetition of the request the same request. Optional; 16 to 255 visible ASCII characters.
	IdempotencyKey string
	// Async asks for an answer as soon as the work is certain to be done, rather than when it is done.
	Async bool
}

// accountID returns the provider's id of the account in the request, or an empty string.
func (r Request) accountID() string {
	if r.Account == nil {
		return ""
	}
	return r.Account.ID
}

// FieldError is what is wrong with a field of a request. It never contains the field's value.
type FieldError struct {
	// Field is the JSON name.
	Field string
	// Code is a stable code, such as "too_short".
	Code string
	// Message is for people.
	Message messages.Message
}

// ValidationError lists all fields that are wrong.
type ValidationError struct {
	Fields []FieldError
	// Cause is what another service reported about a field, for the log; nil if the request alone shows what is wrong.
	Cause error
}

// Unwrap returns the cause.
func (e *ValidationError) Unwrap() error { return e.Cause }

// Error implements error.
func (e *ValidationError) Error() string {
	var parts []string
	for _, field := range e.Fields {
		parts = append(parts, field.Field+" "+field.Code)
	}
	return "invalid sign-up: " + strings.Join(parts, ", ")
}

// Normalise returns the request in its canonical form, or a *[ValidationError] with every wrong field.
func (r Request) Normalise(rules Rules) (Request, error) {
	var v validation
	r.Email = v.email(r.Email)
	v.allowed(r.Email, rules)
	v.password(r.Password, r.Account == nil && !rules.NoPassword, rules.Account)
	r.SchoolName = v.name("schoolName", r.SchoolName, 2, r.Invitation == "") // an invitation may supply it
	r.GivenName = v.name("givenName", r.GivenName, 1, rules.Fields["givenName"] == Required)
	r.FamilyName = v.name("familyName", r.FamilyName, 1, rules.Fields["familyName"] == Required)
	r.Name = v.name("name", r.Name, 2, false)
	if rules.Account && r.Name == "" {
		v.add("name", "required", messages.ID("field.name_is_required"))
	}
	r.Profile = v.profile(r.Profile, rules.Fields)
	r.Locale = locale(r.Locale)
	if r.IdempotencyKey != "" && !ValidKey(r.IdempotencyKey) {
		v.add("Idempotency-Key", "invalid_format", messages.ID("field.key_invalid"))
	}
	if len(v.fields) > 0 {
		return Request{}, &ValidationError{Fields: v.fields}
	}
	return r, nil
}

var keyPattern = regexp.MustCompile(`^[\x21-\x7e]{16,255}$`)

// ValidKey reports whether a text can be an idempotency key.
func ValidKey(text string) bool { return keyPattern.MatchString(text) }

// validation collects what is wrong.
type validation struct{ fields []FieldError }

func (v *validation) add(field, code string, message messages.Message) {
	v.fields = append(v.fields, FieldError{Field: field, Code: code, Message: message})
}

func (v *validation) email(text string) string {
	if strings.TrimSpace(text) == "" {
		v.add("email", "required", messages.ID("field.email_required"))
		return ""
	}
	email, err := NormaliseEmail(text)
	if err != nil {
		v.add("email", "invalid_format", messages.ID("field.email_invalid", messages.Args{"Cause": messageOf(err)}))
	}
	return email
}

// maxPasswordLength is how many bytes of a password identity providers use: bcrypt ignores the rest.
const maxPasswordLength = 72

func printable(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, unicode.IsControl)
}

// password checks a password, or that there is none where people choose none. Characters that some keyboards do not
// have are allowed. Control characters are not, because programs on the way to the provider cut a password at a NUL or
// the end of a line.
func (v *validation) password(password secret.String, chosen, account bool) {
	switch text := password.Reveal(); {
	case !chosen:
		if text != "" {
			v.add("password", "unexpected", messages.ID("field.password_unexpected"))
		}
	case account:
		v.accountPassword(text)
	case text == "":
		v.add("password", "required", messages.ID("field.password_required"))
	case !printable(text):
		v.add("password", "invalid_characters", messages.ID("field.control_characters"))
	case len(text) < 8:
		v.add("password", "too_short", messages.ID("field.password_short"))
	case len(text) > maxPasswordLength:
		v.add("password", "too_long", messages.ID("field.password_long"))
	}
}

// name trims a name and converts it to Unicode's composed form with single spaces, so that names that look the same are
// equal. It allows any script. It rejects characters that are invisible or that change the direction of the text around
// them.
func (v *validation) name(field, text string, least int, required bool) string {
	return v.text(field, text, least, 100, required)
}

func (v *validation) text(field, text string, least, most int, required bool) string {
	valid := utf8.ValidString(text)
	text = normaliseText(text)
	length := utf8.RuneCountInString(text)
	switch {
	case text == "" && required:
		v.add(field, "required", messages.ID("field.name_required"))
	case text == "":
	case !valid, strings.ContainsFunc(text, unprintable), hasInvisible(text):
		v.add(field, "invalid_characters", messages.ID("field.invisible"))
	case length < least:
		v.add(field, "too_short", messages.ID("field.too_short", messages.Args{"Limit": least}))
	case length > most:
		v.add(field, "too_long", messages.ID("field.too_long", messages.Args{"Limit": most}))
	case !strings.ContainsFunc(text, visible):
		v.add(field, "invalid_characters", messages.ID("field.nothing_visible"))
	}
	return text
}
