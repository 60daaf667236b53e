package auth0

import (
	"context"
	"net/http"

	"homeroom/identity"
	"homeroom/internal/remote"
)

// call is one request to the tenant, and what its refusals mean.
type call struct {
	remote.Call
	// scope is what the token needs for it, for people's hints.
	scope string
	// setsPassword is true when the password that a person has chosen may be refused.
	setsPassword bool
	// missing is what a 404 without a code means: that it is the wrong address, when nil.
	missing error
}

// exchange sends a call that is to answer 200 or 201 with JSON, which it reads into a pointer, or, if that is nil, 204.
func (c *Client) exchange(ctx context.Context, req call, into any) error {
	ans, err := c.remote.Do(ctx, req.Call)
	if err != nil {
		return err
	}
	switch {
	case into == nil && ans.Status == http.StatusNoContent:
		return nil
	case into == nil || ans.Status != http.StatusOK && ans.Status != http.StatusCreated:
		return c.failure(req, ans)
	}
	if err := ans.Decode(into); err != nil {
		return &identity.Unavailable{Unknown: req.Creates, Err: err}
	}
	return nil
}

// exchangeUser is exchange for a user, who must be the one with this id: a proxy in between may answer 200 with anything.
func (c *Client) exchangeUser(ctx context.Context, req call, id string) (identity.User, error) {
	var u remoteUser
	if err := c.exchange(ctx, req, &u); err != nil {
		return identity.User{}, err
	}
	if u.UserID != id {
		return identity.User{}, &identity.Unavailable{Unknown: req.Creates, Err: remote.ErrUnreadable}
	}
	return u.user(c.cfg.idPrefix()), nil
}

// brandedHeader is for calls of which Auth0 makes something that speaks of a domain: a mail, a link.
func (c *Client) brandedHeader() http.Header {
	if c.cfg.CustomDomain == "" {
		return nil
	}
	return http.Header{headerDomain: {c.cfg.CustomDomain}}
}
