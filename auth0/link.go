package auth0

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"homeroom/identity"
	"homeroom/internal/remote"
)

// Find reads the user with an Auth0 id, of any connection. It implements [identity.AccountLinker].
func (c *Client) Find(ctx context.Context, id string) (identity.User, error) {
	req := call{Call: remote.Call{Method: http.MethodGet, Route: routeUser, ID: id}, scope: scopeRead}
	found, err := c.exchangeUser(ctx, req, id)
	if err != nil {
		return identity.User{}, fmt.Errorf("find user: %w", err)
	}
	return found, nil
}

// LinkAccount writes our members of app_metadata that are not empty, and no others: Auth0 merges at the first level. A
// link without a tenant must not remove one, since it may arrive after a later link. It implements
// [identity.AccountLinker].
func (c *Client) LinkAccount(ctx context.Context, id string, metadata identity.Metadata) (identity.User, error) {
	linked, err := c.patch(ctx, id, map[string]any{"app_metadata": metadata}) // which omits our empty members
	if err != nil {
		return identity.User{}, fmt.Errorf("link user: %w", err)
	}
	return linked, nil
}

// UnlinkAccount removes our members of app_metadata. It reads first, since Auth0 has no conditional updates: an account
// that another sign-up links in between would lose its metadata. The catalog prevents this: no other sign-up can link
// an account that is being unlinked. It implements [identity.AccountLinker].
func (c *Client) UnlinkAccount(ctx context.Context, id, signupID string) error {
	found, err := c.Find(ctx, id)
	if errors.Is(err, identity.ErrNotFound) || err == nil && found.Metadata.SignupID != signupID {
		return nil
	}
	if err == nil {
		_, err = c.patch(ctx, id, map[string]any{"app_metadata": noMetadata})
	}
	if err != nil && !errors.Is(err, identity.ErrNotFound) {
		return fmt.Errorf("unlink user: %w", err)
	}
	return nil
}

// Verify marks the e-mail as verified. It changes nothing else, since Auth0 refuses some combinations. It implements
// [identity.Verifier].
func (c *Client) Verify(ctx context.Context, id string) error {
	if _, err := c.patch(ctx, id, map[string]any{"email_verified": true}); err != nil {
		return fmt.Errorf("verify user's e-mail: %w", err)
	}
	return nil
}

// noMetadata removes our members, and no others: {} would remove all.
var noMetadata = map[string]any{"tenant_id": nil, "database": nil, "school_name": nil, "signup_id": nil}

// patch changes a user. It may be repeated: it sets the same values again.
func (c *Client) patch(ctx context.Context, id string, members map[string]any) (identity.User, error) {
	return c.exchangeUser(ctx, call{
		Call:  remote.Call{Method: http.MethodPatch, Route: routeUser, ID: id, Body: members},
		scope: scopeUpdate,
	}, id)
}
