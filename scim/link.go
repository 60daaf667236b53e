package scim

import (
	"context"
	"fmt"

	"homeroom/identity"
)

// Find reads a user by the server's id. It implements [identity.AccountLinker].
func (c *Client) Find(ctx context.Context, id string) (identity.User, error) {
	found, err := c.read(ctx, id)
	if err != nil {
		return identity.User{}, fmt.Errorf("find user: %w", err)
	}
	return c.user(found), nil
}

// LinkAccount checks that the user exists. There is no attribute for metadata, and the externalId is not changed: it belongs
// to the creator of the user, and a sign-up may delete a user with our externalId. It implements [identity.AccountLinker].
func (c *Client) LinkAccount(ctx context.Context, id string, _ identity.Metadata) (identity.User, error) {
	found, err := c.read(ctx, id)
	if err != nil {
		return identity.User{}, fmt.Errorf("link user: %w", err)
	}
	return c.user(found), nil
}

// UnlinkAccount does nothing, since nothing was written. It implements [identity.AccountLinker].
func (*Client) UnlinkAccount(context.Context, string, string) error { return nil }
