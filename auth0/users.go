package auth0

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"homeroom/identity"
	"homeroom/internal/remote"
)

// createUser is the body of POST /api/v2/users. Auth0 refuses unknown members and empty names. Whether Auth0 sends a
// verification mail depends on the tenant's settings, unless Config.OwnMails turns it off.
type createUser struct {
	Connection    string            `json:"connection"`
	UserID        string            `json:"user_id"`
	Email         string            `json:"email"`
	EmailVerified *bool             `json:"email_verified,omitempty"`
	VerifyEmail   *bool             `json:"verify_email,omitempty"`
	Password      string            `json:"password,omitempty"`
	GivenName     string            `json:"given_name,omitempty"`
	FamilyName    string            `json:"family_name,omitempty"`
	Name          string            `json:"name,omitempty"`
	UserMetadata  map[string]string `json:"user_metadata,omitempty"`
	AppMetadata   identity.Metadata `json:"app_metadata"`
}

// Create creates the user. It implements [identity.Provider].
func (c *Client) Create(ctx context.Context, user identity.NewUser) (identity.User, error) {
	password := c.initialPassword(user)
	wanted := createUser{
		Connection: c.cfg.connection(), UserID: user.ID.String(),
		Email: strings.ToLower(user.Email), Password: password.Reveal(),
		GivenName: user.GivenName, FamilyName: user.FamilyName, Name: user.Name,
		UserMetadata: user.Profile, AppMetadata: user.Metadata,
	}
	switch {
	case user.EmailVerified:
		wanted.EmailVerified = &user.EmailVerified // then Auth0 sends no mail
	case c.cfg.OwnMails:
		wanted.EmailVerified, wanted.VerifyEmail = new(bool), new(bool)
	}
	req := call{
		Call: remote.Call{
			Method: http.MethodPost, Route: routeUsers, Body: wanted, Creates: true, Header: c.brandedHeader(),
			Private: append(slices.Collect(maps.Values(user.Profile)), password.Reveal(), user.Password.Reveal(), user.Email),
		},
		scope: scopeCreate,
	}
	made, err := c.exchangeUser(ctx, req, c.cfg.idPrefix()+user.ID.String())
	if err != nil {
		return identity.User{}, fmt.Errorf("create user: %w", err)
	}
	return made, nil
}

// Lookup reads the user that was created with our id; Auth0 returns a new user at once. It implements
// [identity.Provider].
func (c *Client) Lookup(ctx context.Context, id uuid.UUID) (identity.User, error) {
	found, err := c.Find(ctx, c.cfg.idPrefix()+id.String())
	if err != nil {
		return identity.User{}, fmt.Errorf("look up user %s: %w", id, err)
	}
	return found, nil
}

// LookupEmail reads the users with an e-mail, of all connections: one address may have an account in each. It implements
// [identity.Provider].
func (c *Client) LookupEmail(ctx context.Context, email string) ([]identity.User, error) {
	email = strings.ToLower(email)
	req := call{
		Call: remote.Call{
			Method: http.MethodGet, Route: routeByEmail, Query: url.Values{"email": {email}},
			Private: []string{email},
		},
		scope: scopeRead,
	}
	var found []remoteUser
	err := c.exchange(ctx, req, &found)
	if err == nil && found == nil {
		err = &identity.Unavailable{Err: remote.ErrUnreadable}
	}
	if err != nil {
		return nil, fmt.Errorf("look up user by e-mail: %w", err)
	}
	users := make([]identity.User, len(found))
	for i, u := range found {
		users[i] = u.user(c.cfg.idPrefix())
	}
	return users, nil
}

// Delete removes the user that was created with our id. Auth0's answer does not show whether there was one, so a delete
// is repeated when its answer was lost, and its outcome is never unknown. It implements [identity.Provider].
func (c *Client) Delete(ctx context.Context, id uuid.UUID) error {
	req := call{
		Call:  remote.Call{Method: http.MethodDelete, Route: routeUser, ID: c.cfg.idPrefix() + id.String()},
		scope: scopeDelete,
	}
	ans, err := c.remote.Do(ctx, req.Call)
	if err != nil {
		return fmt.Errorf("delete user %s: %w", id, err)
	}
	if ans.Status == http.StatusNoContent || ans.Status == http.StatusOK {
		return nil
	}
	if err := c.failure(req, ans); !errors.Is(err, identity.ErrNotFound) {
		return fmt.Errorf("delete user %s: %w", id, err)
	}
	return nil
}

// remoteUser is the part of a user at Auth0 that we read. It reads app_metadata, which others may have written,
// leniently: an invalid value must not hide a user.
type remoteUser struct {
	UserID        string         `json:"user_id"`
	Email         string         `json:"email"`
	EmailVerified bool           `json:"email_verified"`
	Blocked       any            `json:"blocked"`
	CreatedAt     any            `json:"created_at"`
	AppMetadata   map[string]any `json:"app_metadata"`
}

func (u remoteUser) user(idPrefix string) identity.User {
	text := func(v any) string { s, _ := v.(string); return s }
	created, _ := time.Parse(time.RFC3339, text(u.CreatedAt))
	return identity.User{
		ID: u.UserID, OurID: ourID(idPrefix, u.UserID), Email: u.Email, EmailVerified: u.EmailVerified, Blocked: u.Blocked == true, CreatedAt: created,
		Metadata: identity.Metadata{
			TenantID:   text(u.AppMetadata["tenant_id"]),
			Database:   text(u.AppMetadata["database"]),
			SchoolName: text(u.AppMetadata["school_name"]),
			SignupID:   text(u.AppMetadata["signup_id"]),
		},
	}
}

// ourID returns the id for Lookup; nil if the user's id is not a UUID in our format.
func ourID(idPrefix, userID string) uuid.UUID {
	id, err := uuid.Parse(strings.TrimPrefix(userID, idPrefix))
	if err != nil || userID != idPrefix+id.String() {
		return uuid.Nil
	}
	return id
}
