package scim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"homeroom/identity"
	"homeroom/internal/remote"
)

// text is a text as RFC 7643 has it, or a number, as some servers have for ids.
type text string

// UnmarshalJSON reads what is neither as nothing, so that it hides no user.
func (t *text) UnmarshalJSON(raw []byte) error {
	var number json.Number
	var words string
	switch {
	case json.Unmarshal(raw, &words) == nil:
		*t = text(words)
	case raw[0] != '"' && json.Unmarshal(raw, &number) == nil:
		*t = text(number)
	}
	return nil
}

// isText tells whether a value that should be a boolean is this one: some servers write it as a text.
func isText(value any, word string) bool {
	switch v := value.(type) {
	case bool:
		return strconv.FormatBool(v) == word
	case string:
		return strings.EqualFold(v, word)
	}
	return false
}

// UnmarshalJSON reads an entry leniently. Asgardeo shows an e-mail that has nothing besides its value as a bare string,
// and what else others put there must not hide a user.
func (e *entry) UnmarshalJSON(raw []byte) error {
	var members struct {
		Value   text `json:"value"`
		Primary any  `json:"primary"`
	}
	if err := json.Unmarshal(raw, &members); err == nil {
		e.Value, e.Primary = string(members.Value), isText(members.Primary, "true")
		return nil
	}
	var bare text
	_ = bare.UnmarshalJSON(raw) // what is neither an object nor a text tells us nothing
	e.Value = string(bare)
	return nil
}

// entries are a list of them. Some servers show a single one without the list.
type entries []entry

// UnmarshalJSON leaves out what has no value.
func (l *entries) UnmarshalJSON(raw []byte) error {
	var list []entry
	if err := json.Unmarshal(raw, &list); err == nil {
		*l = slices.DeleteFunc(list, func(e entry) bool { return e.Value == "" })
		return nil
	}
	var single entry
	if err := json.Unmarshal(raw, &single); err == nil && single.Value != "" {
		*l = entries{single}
	}
	return nil
}

// remoteUser is a user as the server shows one, as far as we read it.
type remoteUser struct {
	ID         text
	ExternalID text
	UserName   text
	Emails     entries
	// Roles and Groups are what the person has or is in. A server may leave them out.
	Roles, Groups entries
	// Created is a time, and Location the user's address.
	Created, Location text
	// Active is false for a person who may not log in.
	Active any
	// EmailVerified is of Asgardeo's own extension.
	EmailVerified any
	// unreadable is the field that must be known and cannot be read; empty for none.
	unreadable string
}

// UnmarshalJSON reads each field by itself. It fails only where there is no object.
func (u *remoteUser) UnmarshalJSON(raw []byte) error {
	var shown struct {
		ID         json.RawMessage `json:"id"`
		ExternalID text            `json:"externalId"`
		UserName   text            `json:"userName"`
		Emails     json.RawMessage `json:"emails"`
		Roles      entries         `json:"roles"`
		Groups     entries         `json:"groups"`
		Meta       json.RawMessage `json:"meta"`
		Active     any             `json:"active"`
		WSO2       json.RawMessage `json:"urn:scim:wso2:schema"`
	}
	if err := json.Unmarshal(raw, &shown); err != nil {
		return err
	}
	var meta struct {
		Created  text `json:"created"`
		Location text `json:"location"`
	}
	var own struct {
		EmailVerified any `json:"emailVerified"`
	}
	_, _ = json.Unmarshal(shown.Meta, &meta), json.Unmarshal(shown.WSO2, &own) // either may be missing
	*u = remoteUser{
		ExternalID: shown.ExternalID, UserName: shown.UserName, Roles: shown.Roles, Groups: shown.Groups, Created: meta.Created,
		Location: meta.Location, Active: shown.Active, EmailVerified: own.EmailVerified,
	}
	if len(shown.ID) > 0 {
		_ = u.ID.UnmarshalJSON(shown.ID)
	}
	if len(shown.Emails) > 0 {
		_ = u.Emails.UnmarshalJSON(shown.Emails)
	}
	empty := len(shown.Emails) == 0 || bytes.Equal(shown.Emails, []byte("null")) || bytes.Equal(shown.Emails, []byte("[]"))
	switch {
	case u.ID == "":
		u.unreadable = fieldID
	case !empty && len(u.Emails) == 0:
		u.unreadable = fieldEmails
	}
	return nil
}

// The fields of a user that must be known.
const (
	fieldID     = "id"
	fieldEmails = "emails"
)

// checkReadable fails with an *[identity.Misconfigured] that names the field, when one of these cannot be read of one of the users.
func checkReadable(users []remoteUser, fields ...string) error {
	for _, u := range users {
		if slices.Contains(fields, u.unreadable) {
			return &identity.Misconfigured{
				Hint: fmt.Sprintf("have the SCIM server show the attribute %s of users as RFC 7643 has it, section 8.2", u.unreadable),
				Err:  fmt.Errorf("%w: the field %q of a user cannot be read", remote.ErrUnreadable, u.unreadable),
			}
		}
	}
	return nil
}

// errExternalIDDropped says that nobody would find a new user again.
var errExternalIDDropped = errors.New("the server did not keep the externalId of a new user")
