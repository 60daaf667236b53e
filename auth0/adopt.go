package auth0

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"homeroom/identity"
)

// Find reads the user with an id of Auth0's, of any connection. It implements [identity.Adopter].
func (c *Client) Find(ctx context.Context, id string) (identity.User, error) {
	req := call{method: http.MethodGet, route: routeUser, id: id, scope: scopeRead}
	ans, err := c.do(ctx, req)
	if err != nil {
		return identity.User{}, fmt.Errorf("find user: %w", err)
	}
	if ans.status != http.StatusOK {
		return identity.User{}, fmt.Errorf("find user: %w", c.failure(req, ans))
	}
	found, err := c.decodeUser(ans.body, id)
	if err != nil {
		return identity.User{}, fmt.Errorf("find user: %w", &identity.Unavailable{Err: err})
	}
	return found, nil
}

// Adopt writes our four members of app_metadata, and no others: Auth0 merges at the first level. One that is empty is
// sent as null, which removes what a former sign-up may have left. It implements [identity.Adopter].
func (c *Client) Adopt(ctx context.Context, id string, metadata identity.Metadata) (identity.User, error) {
	adopted, err := c.patch(ctx, id, map[string]any{"app_metadata": metadataPatch(metadata)})
	if err != nil {
		return identity.User{}, fmt.Errorf("adopt user: %w", err)
	}
	return adopted, nil
}

// Release removes our members of app_metadata again. It looks first, for Auth0 has no conditions on a change: a login that
// another sign-up adopts in that very moment would lose its metadata, and gets it back when that one repeats its step. It
// implements [identity.Adopter].
func (c *Client) Release(ctx context.Context, id, signupID string) error {
	found, err := c.Find(ctx, id)
	if errors.Is(err, identity.ErrNotFound) || err == nil && found.Metadata.SignupID != signupID {
		return nil
	}
	if err == nil {
		_, err = c.patch(ctx, id, map[string]any{"app_metadata": metadataPatch(identity.Metadata{})})
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

// metadataPatch always has all members: Auth0 takes {} as a wish to remove everybody's.
func metadataPatch(m identity.Metadata) map[string]any {
	patch := map[string]any{
		"tenant_id": m.TenantID, "database": m.Database, "school_name": m.SchoolName, "signup_id": m.SignupID,
	}
	for name, value := range patch {
		if value == "" {
			patch[name] = nil
		}
	}
	return patch
}

// patch changes a user. It may be repeated: whatever it sets, it sets to the same.
func (c *Client) patch(ctx context.Context, id string, members map[string]any) (identity.User, error) {
	body, err := json.Marshal(members)
	if err != nil {
		return identity.User{}, fmt.Errorf("encode body: %w", err)
	}
	req := call{method: http.MethodPatch, route: routeUser, id: id, json: body, scope: scopeUpdate}
	ans, err := c.do(ctx, req)
	if err != nil {
		return identity.User{}, err
	}
	if ans.status != http.StatusOK {
		return identity.User{}, c.failure(req, ans)
	}
	changed, err := c.decodeUser(ans.body, id)
	if err != nil {
		return identity.User{}, &identity.Unavailable{Err: err}
	}
	return changed, nil
}
