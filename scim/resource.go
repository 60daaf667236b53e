package scim

import (
	"strings"
	"time"

	"github.com/google/uuid"

	"homeroom/identity"
)

// newUser is the body of a create. It omits empty members, because servers handle them differently.
type newUser struct {
	Schemas      []string      `json:"schemas"`
	ExternalID   string        `json:"externalId"`
	UserName     string        `json:"userName"`
	Password     string        `json:"password,omitempty"`
	Name         *personName   `json:"name,omitempty"`
	DisplayName  string        `json:"displayName,omitempty"`
	Emails       []entry       `json:"emails"`
	PhoneNumbers []entry       `json:"phoneNumbers,omitempty"`
	Addresses    []postal      `json:"addresses,omitempty"`
	Enterprise   *organization `json:"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User,omitempty"`
}

type personName struct {
	Given     string `json:"givenName,omitempty"`
	Family    string `json:"familyName,omitempty"`
	Formatted string `json:"formatted,omitempty"`
}

type postal struct {
	Type       string `json:"type"`
	Street     string `json:"streetAddress,omitempty"`
	Locality   string `json:"locality,omitempty"`
	Region     string `json:"region,omitempty"`
	PostalCode string `json:"postalCode,omitempty"`
}

type organization struct {
	Organization string `json:"organization"`
}

func (c *Client) body(user identity.NewUser) newUser {
	body := newUser{
		Schemas: []string{schemaUser}, ExternalID: user.ID.String(), UserName: c.cfg.UserNamePrefix + user.Email,
		Password: user.Password.Reveal(), DisplayName: user.Name, Emails: []entry{{Value: user.Email, Primary: true}},
	}
	if name := (personName{Given: user.GivenName, Family: user.FamilyName, Formatted: user.Name}); name != (personName{}) {
		body.Name = &name
	}
	if phone := user.Profile["phone"]; phone != "" {
		body.PhoneNumbers = []entry{{Type: "work", Value: phone}}
	}
	place := postal{
		Type: "work", Street: user.Profile["address"], Locality: user.Profile["locality"], Region: user.Profile["region"],
		PostalCode: user.Profile["postalCode"],
	}
	if place != (postal{Type: "work"}) {
		body.Addresses = []postal{place}
	}
	if company := user.Profile["company"]; company != "" {
		body.Schemas = append(body.Schemas, schemaEnterprise)
		body.Enterprise = &organization{company}
	}
	return body
}

// entry is one value of a multi-valued attribute, or a reference.
type entry struct {
	Value   string `json:"value"`
	Type    string `json:"type,omitempty"`
	Primary bool   `json:"primary,omitempty"`
}

// has reports whether the user has this e-mail.
func (u remoteUser) has(email, prefix string) bool {
	for _, e := range u.Emails {
		if strings.EqualFold(e.Value, email) {
			return true
		}
	}
	return strings.EqualFold(string(u.UserName), prefix+email) || strings.EqualFold(string(u.UserName), email)
}

// email returns the primary e-mail, or else the first, or else the user name if that is an e-mail.
func (u remoteUser) email(prefix string) string {
	for _, e := range u.Emails {
		if e.Primary {
			return e.Value
		}
	}
	if len(u.Emails) > 0 {
		return u.Emails[0].Value
	}
	if name := strings.TrimPrefix(string(u.UserName), prefix); strings.Contains(name, "@") {
		return name
	}
	return ""
}

func (c *Client) user(u remoteUser) identity.User {
	created, _ := time.Parse(time.RFC3339, string(u.Created))
	return identity.User{
		ID: string(u.ID), OurID: ourID(string(u.ExternalID)), Email: u.email(c.cfg.UserNamePrefix),
		EmailVerified: isText(u.EmailVerified, "true"), Blocked: isText(u.Active, "false"), CreatedAt: created,
	}
}

// ourID returns the id for Lookup; nil if the externalId is not a UUID in our format.
func ourID(externalID string) uuid.UUID {
	id, err := uuid.Parse(externalID)
	if err != nil || externalID != id.String() {
		return uuid.Nil
	}
	return id
}
