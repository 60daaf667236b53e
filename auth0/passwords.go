package auth0

import (
	"context"
	"crypto/rand"
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"time"

	"homeroom/identity"
	"homeroom/internal/remote"
	"homeroom/internal/secret"
)

// Passwordless reports whether people choose no password in Homeroom. It implements [identity.Passwordless].
func (c *Client) Passwordless() bool { return c.cfg.Login != LoginPassword }

// initialPassword returns the password of a new user: none in a passwordless connection, and a random one if the person
// will choose it by a link, since a database connection refuses users without one.
func (c *Client) initialPassword(user identity.NewUser) secret.String {
	switch c.cfg.Login {
	case LoginEmail:
		return ""
	case LoginTicket:
		return randomPassword()
	default:
		return user.Password
	}
}

// randomPassword returns a password with some 140 bits, which satisfies Auth0's strictest policy: characters of all
// four classes in turn, so that no two in a row are the same.
func randomPassword() secret.String {
	classes := []string{"abcdefghijkmnopqrstuvwxyz", "ABCDEFGHJKLMNPQRSTUVWXYZ", "23456789", "!#%+-_="}
	var password strings.Builder
	for i := range 40 {
		class := classes[i%len(classes)]
		n, err := rand.Int(rand.Reader, big.NewInt(int64(len(class))))
		if err != nil {
			panic("auth0: read random bytes: " + err.Error()) // never, see its documentation
		}
		password.WriteByte(class[n.Int64()])
	}
	return secret.String(password.String())
}

// SetPassword replaces the password of a user of our connection. It implements [identity.PasswordSetter].
func (c *Client) SetPassword(ctx context.Context, id string, password secret.String) error {
	req := call{
		Call: remote.Call{
			Method: http.MethodPatch, Route: routeUser, ID: id, Header: c.brandedHeader(),
			Body:    map[string]string{"password": password.Reveal(), "connection": c.cfg.connection()},
			Private: []string{password.Reveal()},
		},
		scope: scopeUpdate, setsPassword: true,
	}
	ans, err := c.remote.Do(ctx, req.Call)
	if err != nil {
		return fmt.Errorf("set password: %w", err)
	}
	if ans.Status != http.StatusOK {
		return fmt.Errorf("set password: %w", c.failure(req, ans))
	}
	return nil
}

// PasswordResetLink creates a link to Auth0's page for a new password. A second one after a lost answer does no harm:
// both are valid until they expire. It implements [identity.PasswordResetLinker].
func (c *Client) PasswordResetLink(ctx context.Context, id, returnTo string, ttl time.Duration) (secret.String, error) {
	body := struct {
		UserID    string `json:"user_id"`
		ResultURL string `json:"result_url,omitempty"`
		TTL       int64  `json:"ttl_sec"` // 0 would mean five days
	}{id, returnTo, max(int64(ttl/time.Second), 1)}
	var made struct {
		Ticket secret.String `json:"ticket"`
	}
	err := c.exchange(ctx, call{
		Call: remote.Call{
			Method: http.MethodPost, Route: routePasswordTicket, Body: body, Header: c.brandedHeader(),
			Private: []string{returnTo},
		},
		scope: scopeTicket, missing: identity.ErrNotFound,
	}, &made)
	if err != nil {
		return "", fmt.Errorf("create password ticket: %w", err)
	}
	if link, err := url.Parse(made.Ticket.Reveal()); err != nil || link.Host == "" || link.RawQuery == "" {
		return "", fmt.Errorf("create password ticket: %w", &identity.Unavailable{Err: remote.ErrUnreadable})
	}
	return made.Ticket, nil
}
