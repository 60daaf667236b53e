package beyondidentity

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"homeroom/identity"
	"homeroom/internal/remote"
)

// userV1 and userV2 are the bodies of a create. Every member is required.
type (
	userV1 struct {
		ExternalID  string `json:"external_id"`
		Email       string `json:"email"`
		UserName    string `json:"user_name"`
		DisplayName string `json:"display_name"`
		Delivery    string `json:"binding_token_delivery_method"`
	}
	userV2 struct {
		ExternalID  string `json:"external_id"`
		Email       string `json:"email_address"`
		UserName    string `json:"username"`
		DisplayName string `json:"display_name"`
	}
)

// Create creates the user, to whom Beyond Identity sends a mail. The user name is the e-mail. It implements
// [identity.Provider].
func (c *Client) Create(ctx context.Context, user identity.NewUser) (identity.User, error) {
	email := strings.ToLower(user.Email)
	name := cmp.Or(user.Name, strings.TrimSpace(user.GivenName+" "+user.FamilyName), email)
	req := remote.Call{Method: http.MethodPost, Route: routeCreateV1, Creates: true, Private: []string{email}}
	if c.cfg.Version == V2 {
		req.Route = routeCreateV2
		req.Body = struct {
			User userV2 `json:"user"`
		}{userV2{ExternalID: user.ID.String(), Email: email, UserName: email, DisplayName: name}}
	} else {
		req.Body = userV1{ExternalID: user.ID.String(), Email: email, UserName: email, DisplayName: name, Delivery: byMail}
	}
	ans, err := c.remote.Do(ctx, req)
	if err != nil {
		return identity.User{}, fmt.Errorf("create user: %w", err)
	}
	if ans.Status != http.StatusOK && ans.Status != http.StatusCreated {
		return identity.User{}, fmt.Errorf("create user: %w", c.failure(req, ans, scopeCreate))
	}
	made, err := readCreated(ans)
	if err == nil && made.ExternalID != user.ID.String() {
		err = remote.ErrUnreadable
	}
	if err != nil {
		return identity.User{}, fmt.Errorf("create user: %w", &identity.Unavailable{Unknown: true, Err: err})
	}
	return made.user(), nil
}

// Lookup finds the user whose external_id is ours. It implements [identity.Provider].
func (c *Client) Lookup(ctx context.Context, id uuid.UUID) (identity.User, error) {
	found, err := c.byExternalID(ctx, id)
	if err != nil {
		return identity.User{}, fmt.Errorf("look up user %s: %w", id, err)
	}
	if len(found) == 0 {
		return identity.User{}, fmt.Errorf("look up user %s: %w", id, identity.ErrNotFound)
	}
	return found[0].user(), nil
}

// LookupEmail finds the users with an e-mail. It implements [identity.Provider].
func (c *Client) LookupEmail(ctx context.Context, email string) ([]identity.User, error) {
	email = strings.ToLower(email)
	found, err := c.search(ctx, attributeEmail, email)
	if err != nil {
		return nil, fmt.Errorf("look up user by e-mail: %w", err)
	}
	users := []identity.User{}
	for _, u := range found {
		if strings.EqualFold(u.email(), email) {
			users = append(users, u.user())
		}
	}
	return users, nil
}

// Delete removes the user whose external_id is ours. It looks up the user before each attempt, so that its outcome is
// never unknown. It implements [identity.Provider].
func (c *Client) Delete(ctx context.Context, id uuid.UUID) error {
	found, err := c.byExternalID(ctx, id)
	if err != nil {
		return fmt.Errorf("delete user %s: %w", id, err)
	}
	for _, u := range found {
		req := remote.Call{Method: http.MethodDelete, Route: routeUser, ID: u.id()}
		ans, err := c.remote.Do(ctx, req)
		if err != nil {
			return fmt.Errorf("delete user %s: %w", id, err)
		}
		if ans.Status == http.StatusOK || ans.Status == http.StatusNoContent {
			continue
		}
		if err := c.failure(req, ans, scopeDelete); !errors.Is(err, identity.ErrNotFound) {
			return fmt.Errorf("delete user %s: %w", id, err)
		}
	}
	return nil
}

// byExternalID finds the user with our id: at most one, as external ids are unique.
func (c *Client) byExternalID(ctx context.Context, id uuid.UUID) ([]remoteUser, error) {
	found, err := c.search(ctx, attributeOurs, id.String())
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(found, func(u remoteUser) bool { return u.ExternalID != id.String() }), nil
}

// search finds the users with this value of an attribute, without deleted users.
func (c *Client) search(ctx context.Context, attribute, value string) ([]remoteUser, error) {
	var page struct {
		Users []remoteUser `json:"users"`
		Total *int         `json:"total_size"`
	}
	filter := attribute + ` eq "` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value) + `"`
	req := remote.Call{
		Method: http.MethodGet, Route: routeSearch, Private: []string{value},
		Query: url.Values{"filter": {filter}, "page_size": {pageSize}},
	}
	ans, err := c.remote.Do(ctx, req)
	if err != nil {
		return nil, err
	}
	if ans.Status != http.StatusOK {
		return nil, c.failure(req, ans, scopeRead)
	}
	// The total decides whether there is no user: an unreadable page must not look like an empty one.
	if err := ans.Decode(&page); err != nil || page.Total == nil || *page.Total > 0 && len(page.Users) == 0 {
		return nil, &identity.Unavailable{Err: remote.ErrUnreadable}
	}
	return slices.DeleteFunc(page.Users, func(u remoteUser) bool { return u.State == deleted }), nil
}

// remoteUser is a user of either version. Each version has its own names of members.
type remoteUser struct {
	InternalID string `json:"internal_id"`
	ID         string `json:"id"`
	ExternalID string `json:"external_id"`
	Email      string `json:"email"`
	EmailV2    string `json:"email_address"`
	CreatedV1  any    `json:"date_created"`
	CreatedV2  any    `json:"create_time"`
	State      string `json:"state"`
}

// readCreated decodes the new user. Version 2's answer is the user. Version 1's is documented in the same way, but
// Beyond Identity's own apps read it as an object that contains the user.
func readCreated(ans remote.Answer) (remoteUser, error) {
	var body struct {
		remoteUser
		User *remoteUser `json:"user"`
	}
	if err := ans.Decode(&body); err != nil {
		return remoteUser{}, err
	}
	made := body.remoteUser
	if body.User != nil {
		made = *body.User
	}
	if made.id() == "" {
		return remoteUser{}, remote.ErrUnreadable
	}
	return made, nil
}

func (u remoteUser) id() string    { return cmp.Or(u.ID, u.InternalID) }
func (u remoteUser) email() string { return cmp.Or(u.EmailV2, u.Email) }

// user never reports an e-mail as verified. A person with an enrolled device has read the mail, but neither version
// reports for which address.
func (u remoteUser) user() identity.User {
	created := time.Time{}
	for _, field := range []any{u.CreatedV2, u.CreatedV1} {
		if text, ok := field.(string); ok && created.IsZero() {
			created, _ = time.Parse(time.RFC3339, text)
		}
	}
	return identity.User{ID: u.id(), OurID: ourID(u.ExternalID), Email: u.email(), CreatedAt: created}
}

// ourID returns the id for Lookup; nil if the external_id is not a UUID in our format.
func ourID(externalID string) uuid.UUID {
	id, err := uuid.Parse(externalID)
	if err != nil || externalID != id.String() {
		return uuid.Nil
	}
	return id
}
