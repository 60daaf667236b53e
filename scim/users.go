package scim

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/google/uuid"

	"homeroom/identity"
	"homeroom/internal/remote"
	"homeroom/internal/secret"
)

// Create creates the user. The server compares user names, which are e-mails, case-insensitively. It detects a
// duplicate id only together with the e-mail. It implements [identity.Provider].
func (c *Client) Create(ctx context.Context, user identity.NewUser) (identity.User, error) {
	user.Email = strings.ToLower(user.Email)
	req := remote.Call{
		Method: http.MethodPost, Route: c.cfg.UsersPath, Body: c.body(user), Type: mediaType, Creates: true,
		Private: []string{user.Password.Reveal(), user.Email},
	}
	ans, err := c.remote.Do(ctx, req)
	if err != nil {
		return identity.User{}, fmt.Errorf("create user: %w", err)
	}
	if ans.Status != http.StatusCreated && ans.Status != http.StatusOK {
		return identity.User{}, fmt.Errorf("create user: %w", c.failure(req, ans, scopeCreate))
	}
	var made remoteUser
	if err := ans.Decode(&made); err != nil {
		return identity.User{}, fmt.Errorf("create user: %w", &identity.Unavailable{Unknown: true, Err: remote.ErrUnreadable})
	}
	if err := checkReadable([]remoteUser{made}, fieldID, fieldEmails); err != nil {
		made.ID = cmp.Or(made.ID, lastSegment(cmp.Or(ans.Header.Get("Location"), string(made.Location))))
		return identity.User{}, fmt.Errorf("create user: %w", c.undoCreate(ctx, made, err))
	}
	if string(made.ExternalID) != user.ID.String() {
		return identity.User{}, fmt.Errorf("create user: %w", c.undoCreate(ctx, made, &identity.Misconfigured{
			Hint: "configure the SCIM server to store the attribute externalId (at Asgardeo: Attributes, SCIM 2.0, Core Schema)", Err: errExternalIDDropped,
		}))
	}
	return c.user(made), nil
}

// undoCreate removes a new user who cannot be found or read again, and returns why.
func (c *Client) undoCreate(ctx context.Context, made remoteUser, why error) error {
	failed := errors.New("the answer has no id")
	if made.ID != "" {
		failed = c.remove(context.WithoutCancel(ctx), string(made.ID))
	}
	if failed != nil {
		return &identity.Unavailable{Unknown: true, Err: fmt.Errorf("%w, and the user could not be removed: %w", why, failed)}
	}
	return why
}

// lastSegment returns the id at the end of a user's address; empty if there is none.
func lastSegment(address string) text {
	u, err := url.Parse(address)
	if err != nil || u.Path == "" {
		return ""
	}
	return text(path.Base(u.Path))
}

// Lookup finds the user whose externalId is ours. It implements [identity.Provider].
func (c *Client) Lookup(ctx context.Context, id uuid.UUID) (identity.User, error) {
	found, err := c.byExternalID(ctx, id)
	switch {
	case err != nil:
		return identity.User{}, fmt.Errorf("look up user %s: %w", id, err)
	case len(found) == 0:
		return identity.User{}, fmt.Errorf("look up user %s: %w", id, identity.ErrNotFound)
	case len(found) > 1:
		return identity.User{}, fmt.Errorf("look up user %s: %w", id, &identity.Misconfigured{
			Hint: "remove those that Homeroom did not create from the SCIM server",
			Err:  fmt.Errorf("%d users have this externalId", len(found)),
		})
	}
	return c.user(found[0]), nil
}

// LookupEmail finds the users with this e-mail, or with the user name that a new user with this e-mail would get. It
// implements [identity.Provider].
func (c *Client) LookupEmail(ctx context.Context, email string) ([]identity.User, error) {
	email = strings.ToLower(email)
	found, err := c.search(ctx, equal("emails", email), email)
	if errors.Is(err, errRefused) {
		// RFC 7644 allows both (section 3.4.2.2), and a server may support only one: Asgardeo's takes the part
		// after the dot as a type.
		found, err = c.search(ctx, equal("emails.value", email), email)
	}
	if err != nil {
		return nil, fmt.Errorf("look up user by e-mail: %w", err)
	}
	named, err := c.search(ctx, equal("userName", c.cfg.UserNamePrefix+email), email)
	if err != nil {
		return nil, fmt.Errorf("look up user by name: %w", err)
	}
	found = distinct(append(found, named...))
	if err := checkReadable(found, fieldEmails); err != nil {
		return nil, fmt.Errorf("look up user by e-mail: %w", err)
	}
	users := []identity.User{}
	for _, u := range found {
		if u.has(email, c.cfg.UserNamePrefix) {
			users = append(users, c.user(u))
		}
	}
	return users, nil
}

// distinct removes duplicates: Asgardeo's server sometimes lists a user twice.
func distinct(users []remoteUser) []remoteUser {
	seen := map[text]bool{}
	return slices.DeleteFunc(users, func(u remoteUser) bool {
		twice := seen[u.ID]
		seen[u.ID] = true
		return twice
	})
}

// SetPassword replaces the password (RFC 7644, section 3.5.2.3). It implements [identity.PasswordSetter].
func (c *Client) SetPassword(ctx context.Context, id string, password secret.String) error {
	req := remote.Call{
		Method: http.MethodPatch, Route: c.cfg.UsersPath + resource, ID: id, Type: mediaType, Private: []string{password.Reveal()},
		Body: map[string]any{
			"schemas":    []string{schemaPatch},
			"Operations": []any{map[string]any{"op": "replace", "value": map[string]string{"password": password.Reveal()}}},
		},
	}
	ans, err := c.remote.Do(ctx, req)
	if err == nil && ans.Status != http.StatusOK && ans.Status != http.StatusNoContent {
		err = c.failure(req, ans, scopeUpdate)
	}
	if err != nil {
		return fmt.Errorf("set password: %w", err)
	}
	return nil
}

// Delete removes the user whose externalId is ours. It looks up the user before each attempt, so that its outcome is
// never unknown. It implements [identity.Provider].
func (c *Client) Delete(ctx context.Context, id uuid.UUID) error {
	found, err := c.byExternalID(ctx, id)
	if err != nil {
		return fmt.Errorf("delete user %s: %w", id, err)
	}
	for _, u := range found {
		if err := c.remove(ctx, string(u.ID)); err != nil {
			return fmt.Errorf("delete user %s: %w", id, err)
		}
	}
	return nil
}

// remove deletes a user by the server's id. It succeeds if there is none.
func (c *Client) remove(ctx context.Context, id string) error {
	req := remote.Call{Method: http.MethodDelete, Route: c.cfg.UsersPath + resource, ID: id, Type: mediaType}
	ans, err := c.remote.Do(ctx, req)
	if err != nil {
		return err
	}
	if ans.Status == http.StatusNoContent || ans.Status == http.StatusOK {
		return nil
	}
	if err := c.failure(req, ans, scopeDelete); !errors.Is(err, identity.ErrNotFound) {
		return err
	}
	return nil
}

// byExternalID finds the users with our id.
func (c *Client) byExternalID(ctx context.Context, id uuid.UUID) ([]remoteUser, error) {
	found, err := c.search(ctx, equal("externalId", id.String()))
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(distinct(found), func(u remoteUser) bool { return string(u.ExternalID) != id.String() }), nil
}

// search finds users by a filter. The caller must compare the results with the requested value.
func (c *Client) search(ctx context.Context, filter string, private ...string) ([]remoteUser, error) {
	var page struct {
		Total     *int         `json:"totalResults"`
		Resources []remoteUser `json:"Resources"`
	}
	req := remote.Call{
		Method: http.MethodGet, Route: c.cfg.UsersPath, Type: mediaType, Private: private,
		Query: url.Values{"filter": {filter}, "count": {pageSize}},
	}
	ans, err := c.remote.Do(ctx, req)
	if err != nil {
		return nil, err
	}
	if ans.Status != http.StatusOK {
		// Some servers answer 404 for an empty list.
		if err := c.failure(req, ans, scopeList); !errors.Is(err, identity.ErrNotFound) {
			return nil, err
		}
		return nil, nil
	}
	// The total decides whether there is no user: an unreadable page must not look like an empty one.
	if err := ans.Decode(&page); err != nil || page.Total == nil || *page.Total > 0 && len(page.Resources) == 0 {
		return nil, &identity.Unavailable{Err: remote.ErrUnreadable}
	}
	if err := checkReadable(page.Resources, fieldID); err != nil {
		return nil, err
	}
	return page.Resources, nil
}

// read reads a user by the server's id.
func (c *Client) read(ctx context.Context, id string) (remoteUser, error) {
	var found remoteUser
	req := remote.Call{Method: http.MethodGet, Route: c.cfg.UsersPath + resource, ID: id, Type: mediaType}
	ans, err := c.remote.Do(ctx, req)
	if err != nil {
		return found, err
	}
	if ans.Status != http.StatusOK {
		return found, c.failure(req, ans, scopeView)
	}
	if err := ans.Decode(&found); err != nil {
		return found, &identity.Unavailable{Err: remote.ErrUnreadable}
	}
	if err := checkReadable([]remoteUser{found}, fieldID, fieldEmails); err != nil {
		return found, err
	}
	if string(found.ID) != id {
		return found, &identity.Unavailable{Err: remote.ErrUnreadable}
	}
	return found, nil
}
