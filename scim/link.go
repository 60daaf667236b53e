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

// LinkAccount makes sure that the user is there. There is no place for metadata, and the externalId is left as it is: it belongs
// to whoever made the user, and a user who has ours is one that a sign-up may delete. It implements [identity.AccountLinker].
func (c *Client) LinkAccount(ctx context.Context, id string, _ identity.Metadata) (identity.User, error) {
	found, err := c.read(ctx, id)
	if err != nil {
		return identity.User{}, fmt.Errorf("adopt user: %w", err)
	}
	return c.user(found), nil
}

// UnlinkAccount has nothing to take off. It implements [identity.AccountLinker].
func (*Client) UnlinkAccount(context.Context, string, string) error { return nil }
