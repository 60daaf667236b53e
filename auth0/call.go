package auth0

import (
	"context"
	"net/http"

	"homeroom/identity"
	"homeroom/internal/remote"
)

// call is one request to the tenant, and the meaning of its refusals.
type call struct {
	remote.Call
	// scope is the scope that the token needs, for hints to operators.
	scope string
	// setsPassword is true when the password that a person has chosen may be refused.
	setsPassword bool
	// missing is the error for a 404 without a code; nil means that the address is wrong.
	missing error
}

// exchange sends a call. Its answer is 200 or 201 with JSON, which it decodes into into, or 204 if into is nil.
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

// exchangeUser is exchange for a user with this id. It checks the id: a proxy may answer 200 with anything.
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

// brandedHeader is for calls that make Auth0 send or return something with a domain: a mail, a link.
func (c *Client) brandedHeader() http.Header {
	if c.cfg.CustomDomain == "" {
		return nil
	}
	return http.Header{headerDomain: {c.cfg.CustomDomain}}
}
