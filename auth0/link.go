package auth0

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"homeroom/identity"
	"homeroom/internal/remote"
)

// Find reads the user with an id of Auth0's, of any connection. It implements [identity.AccountLinker].
func (c *Client) Find(ctx context.Context, id string) (identity.User, error) {
	req := call{Call: remote.Call{Method: http.MethodGet, Route: routeUser, ID: id}, scope: scopeRead}
	found, err := c.exchangeUser(ctx, req, id)
	if err != nil {
		return identity.User{}, fmt.Errorf("find user: %w", err)
	}
	return found, nil
}

// LinkAccount writes our members of app_metadata that are not empty, and no others: Auth0 merges at the first level. An adoption that
// does not name a tenant yet must not take one away, since it may be late and the next one have arrived before it. It
// implements [identity.AccountLinker].
func (c *Client) LinkAccount(ctx context.Context, id string, metadata identity.Metadata) (identity.User, error) {
	linked, err := c.patch(ctx, id, map[string]any{"app_metadata": metadata}) // whose empty members are left out
	if err != nil {
		return identity.User{}, fmt.Errorf("adopt user: %w", err)
	}
	return linked, nil
}

// UnlinkAccount removes our members of app_metadata again. It looks first, for Auth0 has no conditions on a change: a login that
// another sign-up adopts in that very moment would lose its metadata. The registry keeps others from adopting a login that is
// being released. It implements [identity.AccountLinker].
func (c *Client) UnlinkAccount(ctx context.Context, id, signupID string) error {
	found, err := c.Find(ctx, id)
	if errors.Is(err, identity.ErrNotFound) || err == nil && found.Metadata.SignupID != signupID {
		return nil
	}
	if err == nil {
		_, err = c.patch(ctx, id, map[string]any{"app_metadata": noMetadata})
	}
	if err != nil && !errors.Is(err, identity.ErrNotFound) {
		return fmt.Errorf("release user: %w", err)
	}
	return nil
}

// Verify marks the e-mail as verified. Nothing else is changed with it, as Auth0 refuses some pairs. It implements
// [identity.Verifier].
func (c *Client) Verify(ctx context.Context, id string) error {
	if _, err := c.patch(ctx, id, map[string]any{"email_verified": true}); err != nil {
		return fmt.Errorf("verify user's e-mail: %w", err)
	}
	return nil
}

// noMetadata removes our members, and nobody else's: Auth0 takes {} as a wish to remove everybody's.
var noMetadata = map[string]any{"tenant_id": nil, "database": nil, "school_name": nil, "signup_id": nil}

// patch changes a user. It may be repeated: whatever it sets, it sets to the same.
func (c *Client) patch(ctx context.Context, id string, members map[string]any) (identity.User, error) {
	return c.exchangeUser(ctx, call{
		Call:  remote.Call{Method: http.MethodPatch, Route: routeUser, ID: id, Body: members},
		scope: scopeUpdate,
	}, id)
}
