package auth0test

import (
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/mail"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// property is one member of a request's body, as in Auth0's OpenAPI document.
type property struct {
	name        string
	kind        string // string, boolean or object
	nullable    bool
	min, max    int
	pattern     *regexp.Regexp
	format      string
	description string
}

var (
	phonePattern  = regexp.MustCompile(`^\+[0-9]{1,15}$`)
	userIDPattern = regexp.MustCompile(`^\S*$`)
)

// newUserSchema is CreateUserRequestContent of the OpenAPI document; no other properties are allowed.
var newUserSchema = []property{
	{name: "email", kind: "string", format: "email", description: "The user's email"},
	{name: "phone_number", kind: "string", pattern: phonePattern, description: "The user's phone number (following the E.164 recommendation)"},
	{name: "user_metadata", kind: "object", description: "Data related to the user that does not affect the application's core functionality"},
	{name: "blocked", kind: "boolean", description: "Whether this user was blocked by an administrator (true) or not (false)"},
	{name: "email_verified", kind: "boolean", description: "Whether this email address is verified (true) or unverified (false). User will receive a verification email after creation if `email_verified` is false or not specified"},
	{name: "phone_verified", kind: "boolean", description: "Whether this phone number has been verified (true) or not (false)"},
	{name: "app_metadata", kind: "object", description: "Data related to the user that does affect the application's core functionality"},
	{name: "given_name", kind: "string", min: 1, max: 150, description: "The user's given name(s)"},
	{name: "family_name", kind: "string", min: 1, max: 150, description: "The user's family name(s)"},
	{name: "name", kind: "string", min: 1, max: 300, description: "The user's full name"},
	{name: "nickname", kind: "string", min: 1, max: 300, description: "The user's nickname"},
	{name: "picture", kind: "string", format: "strict-uri", description: "A URI pointing to the user's picture"},
	{name: "user_id", kind: "string", max: 255, pattern: userIDPattern, description: "The external user's id provided by the identity provider"},
	{name: "connection", kind: "string", min: 1, description: "Name of the connection this user should be created in"},
	{name: "password", kind: "string", min: 1, description: "Initial password for this user. Only valid for auth0 connection strategy"},
	{name: "verify_email", kind: "boolean", description: "Whether the user will receive a verification email after creation (true) or no email (false). Overrides behavior of `email_verified` parameter"},
	{name: "username", kind: "string", min: 1, max: 128, description: "The user's username. Only valid if the connection requires a username"},
}

// patchSchema is UpdateUserRequestContent: the same without user_id, with nulls that unset, and others allowed [DOC].
var patchSchema = func() []property {
	nullable := []string{"email", "phone_number", "given_name", "family_name", "name", "nickname", "picture", "password", "username"}
	var schema []property
	for _, p := range newUserSchema {
		if p.name != "user_id" {
			p.nullable = slices.Contains(nullable, p.name)
			schema = append(schema, p)
		}
	}
	return append(schema,
		property{name: "verify_phone_number", kind: "boolean", description: "Whether this user will receive a text after changing the phone number (true) or no text (false)"},
		property{name: "client_id", kind: "string", min: 1, description: "Auth0 client ID. Only valid when updating email address"})
}()

// readBody decodes a JSON or form body into its members.
func readBody(r *http.Request, schema []property) (map[string]any, *problem) {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if kind == "application/x-www-form-urlencoded" {
		if err := r.ParseForm(); err != nil {
			return nil, malformed()
		}
		return formMembers(r.PostForm, schema), nil
	}
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, malformed()
	}
	var body any
	if err := json.Unmarshal(raw, &body); err != nil {
		return nil, malformed()
	}
	members, ok := body.(map[string]any)
	if !ok {
		return nil, badBody("Expected type object but found type " + kindOf(body))
	}
	return members, nil
}

// malformed is the answer of Auth0's server to a body that is not JSON [GUESS].
func malformed() *problem {
	return &problem{Status: http.StatusBadRequest, Message: "Invalid request payload JSON format"}
}

// formMembers reads booleans and objects from a form's texts; anything else stays text, and fails the schema.
func formMembers(form url.Values, schema []property) map[string]any {
	members := map[string]any{}
	for name := range form {
		text := form.Get(name)
		members[name] = text
		i := slices.IndexFunc(schema, func(p property) bool { return p.name == name })
		if i < 0 || schema[i].kind == "string" {
			continue
		}
		var value any
		if json.Unmarshal([]byte(text), &value) == nil {
			members[name] = value
		}
	}
	return members
}

// checkSchema refuses a body as Auth0's validator does. The forms are recorded, though not at this endpoint; of several
// faults it reports one. With strict, other properties are refused; the required ones must exist.
func checkSchema(members map[string]any, schema []property, strict bool, required ...string) *problem {
	for _, name := range required {
		if _, ok := members[name]; !ok {
			return badBody("Missing required property: " + name)
		}
	}
	if extra := unknownMembers(members, schema); strict && len(extra) > 0 {
		return badBody("Additional properties not allowed: " + strings.Join(extra, ","))
	}
	for _, p := range schema {
		value, ok := members[p.name]
		if !ok {
			continue
		}
		if reason := p.check(value); reason != "" {
			return badField(reason, p.name, p.description)
		}
	}
	return nil
}

func unknownMembers(members map[string]any, schema []property) []string {
	var extra []string
	for name := range members {
		if !slices.ContainsFunc(schema, func(p property) bool { return p.name == name }) {
			extra = append(extra, name)
		}
	}
	slices.Sort(extra)
	return extra
}

// check returns why the value is not allowed, or nothing. A password's value is never in the reason.
func (p property) check(value any) string {
	if value == nil && p.nullable {
		return ""
	}
	if kind := kindOf(value); kind != p.kind {
		return fmt.Sprintf("Expected type %s but found type %s", p.kind, kind)
	}
	text, ok := value.(string)
	if !ok {
		return ""
	}
	n := utf8.RuneCountInString(text)
	switch {
	case n < p.min:
		return fmt.Sprintf("String is too short (%d chars), minimum %d", n, p.min)
	case p.max > 0 && n > p.max:
		return fmt.Sprintf("String is too long (%d chars), maximum %d", n, p.max)
	case p.pattern != nil && !p.pattern.MatchString(text):
		return fmt.Sprintf("String does not match pattern %s: %s", p.pattern, text)
	case p.format == "email" && !isEmail(text), p.format == "strict-uri" && !isURI(text):
		return fmt.Sprintf("Object didn't pass validation for format %s: %s", p.format, text)
	}
	return ""
}

func kindOf(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case string:
		return "string"
	case bool:
		return "boolean"
	case float64:
		return "number"
	case []any:
		return "array"
	}
	return "object"
}

// isEmail is a [GUESS] of Auth0's format: an address without a name, with a dot in its domain.
func isEmail(text string) bool {
	address, err := mail.ParseAddress(text)
	if err != nil || address.Address != text || len(text) > 320 {
		return false
	}
	_, domain, _ := strings.Cut(text, "@")
	return strings.Contains(domain, ".") && !strings.HasPrefix(domain, "[")
}

func isURI(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Scheme != "" && u.Host != ""
}

// forbiddenAppMetadata are members that Auth0 reserves for itself [DOC]:
// https://auth0.com/docs/manage-users/user-accounts/metadata/metadata-fields-data
var forbiddenAppMetadata = []string{
	"__tenant", "_id", "blocked", "clientID", "created_at", "email_verified", "email", "globalClientID",
	"global_client_id", "identities", "lastIP", "lastLogin", "loginsCount", "metadata", "multifactor_last_modified",
	"multifactor", "updated_at", "user_id",
}

// checkMetadata refuses member names that Auth0's documentation forbids; the text of the refusal is a [GUESS].
func checkMetadata(members map[string]any) *problem {
	for _, property := range []string{"user_metadata", "app_metadata"} {
		metadata, _ := members[property].(map[string]any)
		for name := range metadata {
			if strings.ContainsAny(name, ".$") {
				return badBody(fmt.Sprintf("Property names of %s must not contain '.' or '$': %s", property, name))
			}
			if property == "app_metadata" && slices.Contains(forbiddenAppMetadata, name) {
				return badBody("Additional properties not allowed in app_metadata: " + name)
			}
		}
	}
	return nil
}
