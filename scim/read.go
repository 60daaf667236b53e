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

// text is a string, as in RFC 7643, or a number, which some servers use for ids.
type text string

// UnmarshalJSON decodes other values as empty, so that they hide no user.
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

// isText reports whether a boolean has this value. Some servers send booleans as strings.
func isText(value any, word string) bool {
	switch v := value.(type) {
	case bool:
		return strconv.FormatBool(v) == word
	case string:
		return strings.EqualFold(v, word)
	}
	return false
}

// UnmarshalJSON decodes an entry leniently. Asgardeo sends an e-mail without further members as a plain string, and
// unexpected values of other servers must not hide a user.
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
	_ = bare.UnmarshalJSON(raw) // other values are ignored
	e.Value = string(bare)
	return nil
}

// entries is a list of values. Some servers send a single value without the list.
type entries []entry

// UnmarshalJSON omits entries without a value.
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

// remoteUser is what Homeroom reads of a user.
type remoteUser struct {
	ID         text
	ExternalID text
	UserName   text
	Emails     entries
	// Roles and Groups are the user's. A server may omit them.
	Roles, Groups entries
	// Created is the time of creation, and Location the user's address.
	Created, Location text
	// Active is false for a user who may not log in.
	Active any
	// EmailVerified is from Asgardeo's own extension.
	EmailVerified any
	// unreadable is the required field that cannot be read; empty for none.
	unreadable string
}

// UnmarshalJSON decodes each field separately. It only fails if the value is not an object.
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

// The required fields of a user.
const (
	fieldID     = "id"
	fieldEmails = "emails"
)

// checkReadable fails with an *[identity.Misconfigured] that names the field, if one of these fields of a user cannot
// be read.
func checkReadable(users []remoteUser, fields ...string) error {
	for _, u := range users {
		if slices.Contains(fields, u.unreadable) {
			return &identity.Misconfigured{
				Hint: fmt.Sprintf("configure the SCIM server to send the attribute %s of users as in RFC 7643, section 8.2", u.unreadable),
				Err:  fmt.Errorf("%w: the field %q of a user cannot be read", remote.ErrUnreadable, u.unreadable),
			}
		}
	}
	return nil
}

// errExternalIDDropped means that a new user could not be found again.
var errExternalIDDropped = errors.New("the server did not store the externalId of a new user")
