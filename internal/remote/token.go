package remote

import (
	"context"
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

// Token is an access token and the times at which to renew it and to stop using it.
type Token struct {
	value                secret.String
	made, renew, expires time.Time
}

// StaticToken is the source of a configured token that does not expire. A call that it is refused for is repeated once.
func StaticToken(value secret.String) func(context.Context, *Client) (Token, error) {
	never := time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
	return func(context.Context, *Client) (Token, error) {
		return Token{value: value, renew: never, expires: never}, nil
	}
}

// Credentials are a client's id and secret for OAuth's client credentials grant.
type Credentials struct {
	// URL is the token endpoint, or its route below the base URL.
	URL          string
	ClientID     string
	ClientSecret secret.String
	// CredentialsInForm sends the id and the secret in the form, rather than by HTTP's Basic scheme.
	CredentialsInForm bool
	// Scope is the requested scope; empty requests none.
	Scope string
	// Audience is the API that the token is for; empty for the endpoint's default.
	Audience string
	// RefusalHint returns the operator's hint for a refusal by the endpoint. code is OAuth's, such as
	// "invalid_client"; it may be empty.
	RefusalHint func(status int, code string) (hint string)
}

const (
	// renewBefore is how long before its expiry a token is renewed in the background. Calls use the old one until then.
	renewBefore = 5 * time.Minute
	// stopBefore allows for network latency and clock differences.
	stopBefore = 10 * time.Second
	// newScopesAfter is how old a token must be before a missing scope is a reason for a new one: an operator may have granted
	// it since, and tokens keep the scopes that they were issued with.
	newScopesAfter = time.Minute
	// renewRetry is the time between a failed renewal and the next one.
	renewRetry = 20 * time.Second
	// defaultLife and maxLife are the default and the limit of a token's lifetime, which is optional in RFC 6749.
	defaultLife = 5 * time.Minute
	maxLife     = 30 * 24 * time.Hour
)

// Lifetime is the lifetime of a token from the provider's expires_in, in seconds; zero means unknown.
func Lifetime(expiresIn int64) time.Duration {
	if expiresIn <= 0 {
		return defaultLife
	}
	return time.Duration(min(expiresIn, int64(maxLife/time.Second))) * time.Second
}

// ClientCredentialsGrant is a source of tokens by the client credentials grant (RFC 6749, section 4.4).
func ClientCredentialsGrant(cr Credentials) func(context.Context, *Client) (Token, error) {
	return func(ctx context.Context, c *Client) (Token, error) {
		asked := c.cfg.Now()
		req := cr.call()
		ans, err := c.Do(ctx, req)
		if err != nil {
			return Token{}, err
		}
		if ans.Status != http.StatusOK {
			return Token{}, c.tokenFailure(cr, req, ans)
		}
		var body struct {
			AccessToken string `json:"access_token"`
			ExpiresIn   int64  `json:"expires_in"`
		}
		if err := ans.Decode(&body); err != nil || body.AccessToken == "" {
			return Token{}, &identity.Unavailable{Err: errors.New("the token endpoint's answer has no access token")}
		}
		life := Lifetime(body.ExpiresIn)
		end := asked.Add(life)
		return Token{
			value:   secret.String(body.AccessToken),
			made:    asked,
			renew:   end.Add(-min(renewBefore, life/2)),
			expires: end.Add(-min(stopBefore, life/10)),
		}, nil
	}
}

// call is the request for a token.
func (cr Credentials) call() Call {
	form := url.Values{"grant_type": {"client_credentials"}}
	req := Call{Method: http.MethodPost, Route: cr.URL, NoToken: true, Form: form}
	if cr.CredentialsInForm {
		form.Set("client_id", cr.ClientID)
		form.Set("client_secret", cr.ClientSecret.Reveal())
	} else {
		req.User, req.Password = cr.ClientID, cr.ClientSecret
	}
	if cr.Scope != "" {
		form.Set("scope", cr.Scope)
	}
	if cr.Audience != "" {
		form.Set("audience", cr.Audience)
	}
	return req
}

// tokenFailure is the error for a refusal. Its outcome is never unknown.
func (c *Client) tokenFailure(cr Credentials, req Call, ans Answer) error {
	var p struct {
		Code        string `json:"error"`
		Description string `json:"error_description"`
	}
	_ = ans.Decode(&p) // a proxy's page tells no more than its status
	cause := c.Quote(req, ans, p.Code, p.Description)
	if ans.Transient() {
		return c.Unavailable(req, ans, cause)
	}
	return &identity.Misconfigured{Hint: cr.RefusalHint(ans.Status, p.Code), Err: cause}
}

// tokens holds the one access token that all calls share: providers count, and charge for, the tokens that they issue.
type tokens struct {
	fetch func(context.Context) (Token, error)
	now   func() time.Time
	log   *slog.Logger
	name  string
	// fetchTimeout bounds one fetch, independent of the callers.
	fetchTimeout time.Duration

	mu      sync.Mutex
	current Token
	flight  singleflight.Group
}

// get returns a valid token. It waits for the provider only if there is none, and no longer than ctx;
// the fetch itself continues for other callers.
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

// last is the last token, valid or not.
func (t *tokens) last() secret.String {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.current.value
}

// invalidate drops a token that was refused, unless there is a newer one.
func (t *tokens) invalidate(refused secret.String) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.current.value == refused {
		t.current = Token{}
	}
}

// invalidateForNewScopes drops a token that lacks a scope, if it is old enough for a new one to have it.
func (t *tokens) invalidateForNewScopes(lacking secret.String) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.current.value == lacking && t.now().Sub(t.current.made) > newScopesAfter {
		t.current = Token{}
	}
}

// renewal fetches a token, unless another call has just done so. It is not cancelled with the call that began it.
func (t *tokens) renewal(ctx context.Context) func() (any, error) {
	ctx = context.WithoutCancel(ctx)
	return func() (any, error) {
		t.mu.Lock()
		current := t.current
		t.mu.Unlock()
		if now := t.now(); now.Before(current.renew) && now.Before(current.expires) {
			return current.value, nil // another fetch ended in between
		}
		ctx, cancel := context.WithTimeout(ctx, t.fetchTimeout)
		defer cancel()
		fresh, err := t.fetch(ctx)
		t.mu.Lock()
		defer t.mu.Unlock()
		if err != nil {
			if t.now().Before(t.current.expires) {
				t.current.renew = t.now().Add(renewRetry)
				t.log.WarnContext(ctx, t.name+" access token not renewed, the old one is still valid",
					"error", err, "expires", t.current.expires)
			}
			return nil, err
		}
		t.current = fresh
		return fresh.value, nil
	}
}
