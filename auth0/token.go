package auth0

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"homeroom/identity"
	"homeroom/internal/secret"
)

// tokens holds the one access token that all calls share. Auth0 counts, and bills, the tokens it issues to machines.
type tokens struct {
	fetch func(context.Context) (token, error)
	now   func() time.Time
	log   *slog.Logger
	// patience bounds one fetch, whoever waits for it.
	patience time.Duration

	mu      sync.Mutex
	current token
	flight  singleflight.Group
}

// token is an access token and the times at which to renew it and to stop using it.
type token struct {
	value                secret.String
	made, renew, expires time.Time
}

const (
	// renewBefore is how long before its end a token is renewed in the background. Meanwhile the old one serves.
	renewBefore = 5 * time.Minute
	// stopBefore allows for the way to the tenant and for clocks that differ.
	stopBefore = 10 * time.Second
	// outgrown is how old a token must be before a missing scope is a reason for a new one: somebody may have granted it
	// meanwhile, and tokens keep the scopes that they were made with.
	outgrown = time.Minute
	// renewAgain is how long after a failure the renewal is tried again.
	renewAgain = 20 * time.Second
	// defaultLife and maxLife bound what the tenant says; RFC 6749 lets it say nothing.
	defaultLife = 5 * time.Minute
	maxLife     = 30 * 24 * time.Hour
)

// get returns a token that is good now. It waits for the tenant only when there is none, and no longer than ctx lives;
// the fetch itself goes on for the others who wait for it.
func (t *tokens) get(ctx context.Context) (secret.String, error) {
	t.mu.Lock()
	current := t.current
	t.mu.Unlock()
	if now := t.now(); now.Before(current.expires) {
		if !now.Before(current.renew) {
			t.flight.DoChan("", t.renewal(ctx))
		}
		return current.value, nil
	}
	select {
	case result := <-t.flight.DoChan("", t.renewal(ctx)):
		if result.Err != nil {
			return "", fmt.Errorf("get access token: %w", result.Err)
		}
		return result.Val.(secret.String), nil
	case <-ctx.Done():
		return "", &identity.Unavailable{Err: fmt.Errorf("wait for access token: %w", ctx.Err())}
	}
}

// drop forgets a token that was refused; a newer one stays.
func (t *tokens) drop(refused secret.String) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.current.value == refused {
		t.current = token{}
	}
}

// outgrow forgets a token that lacks a scope, if it is old enough for a new one to have it.
func (t *tokens) outgrow(lacking secret.String) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.current.value == lacking && t.now().Sub(t.current.made) > outgrown {
		t.current = token{}
	}
}

// renewal is what one flight does. It outlives the call that began it.
func (t *tokens) renewal(ctx context.Context) func() (any, error) {
	ctx = context.WithoutCancel(ctx)
	return func() (any, error) {
		t.mu.Lock()
		current := t.current
		t.mu.Unlock()
		if now := t.now(); now.Before(current.renew) && now.Before(current.expires) {
			return current.value, nil // a flight landed between our look and our start
		}
		ctx, cancel := context.WithTimeout(ctx, t.patience)
		defer cancel()
		fresh, err := t.fetch(ctx)
		t.mu.Lock()
		defer t.mu.Unlock()
		if err != nil {
			if t.now().Before(t.current.expires) {
				t.current.renew = t.now().Add(renewAgain)
				t.log.WarnContext(ctx, "auth0 access token not renewed, the old one still serves",
					"error", err, "expires", t.current.expires)
			}
			return nil, err
		}
		t.current = fresh
		return fresh.value, nil
	}
}

// fetchToken asks for a token by the client credentials grant. The body is a form, as OAuth has it.
func (c *Client) fetchToken(ctx context.Context) (token, error) {
	asked := c.cfg.Now()
	req := call{method: http.MethodPost, route: routeToken, form: url.Values{
		"grant_type":    {"client_credentials"},
		"client_id":     {c.cfg.ClientID},
		"client_secret": {c.cfg.ClientSecret.Reveal()},
		"audience":      {c.cfg.ManagementAudience},
	}}
	ans, err := c.repeat(ctx, req, "")
	if err != nil {
		return token{}, err
	}
	if ans.status != http.StatusOK {
		return token{}, c.tokenFailure(req, ans)
	}
	var body struct {
		AccessToken string `json:"access_token"`
		ExpiresIn   int64  `json:"expires_in"`
	}
	if err := json.Unmarshal(ans.body, &body); err != nil || body.AccessToken == "" {
		return token{}, &identity.Unavailable{Err: errors.New("the tenant's answer has no access token")}
	}
	life := defaultLife
	if body.ExpiresIn > 0 {
		life = time.Duration(min(body.ExpiresIn, int64(maxLife/time.Second))) * time.Second
	}
	end := asked.Add(life)
	return token{
		value:   secret.String(body.AccessToken),
		made:    asked,
		renew:   end.Add(-min(renewBefore, life/2)),
		expires: end.Add(-min(stopBefore, life/10)),
	}, nil
}
