package auth0

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"homeroom/identity"
	"homeroom/internal/remote"
	"homeroom/internal/secret"
	"homeroom/messages"
)

// OpenSession logs in a person by the password-realm grant, for the service's own API. The application must have that
// grant enabled, and "Trust Token Endpoint IP Header": otherwise Auth0 counts everybody's wrong passwords against our
// own address. A login whose answer was lost is repeated. It implements [identity.SessionOpener].
func (c *Client) OpenSession(
	ctx context.Context, email string, password secret.String, client string,
) (identity.Session, error) {
	if c.cfg.Audience == "" || c.Passwordless() {
		return identity.Session{}, fmt.Errorf("open session: %w", &identity.Misconfigured{
			Hint: c.cfg.Settings.Sprintf("set $Audience, and let people log in with a password of their own ($Login)"),
			Err:  errors.New("nobody can log in with a password for the service's own API"),
		})
	}
	asked := c.cfg.Now()
	req := remote.Call{
		Method: http.MethodPost, Route: routeToken, NoToken: true,
		Form: url.Values{
			"grant_type":    {grantRealm},
			"client_id":     {c.cfg.ClientID},
			"client_secret": {c.cfg.ClientSecret.Reveal()},
			"realm":         {c.cfg.connection()},
			"audience":      {c.cfg.Audience},
			"username":      {strings.ToLower(email)},
			"password":      {password.Reveal()},
		},
		Private: []string{password.Reveal(), email, client},
	}
	if client != "" {
		req.Header = http.Header{headerForwarded: {client}}
	}
	ans, err := c.remote.Do(ctx, req)
	if err != nil {
		return identity.Session{}, fmt.Errorf("open session: %w", err)
	}
	if ans.Status != http.StatusOK {
		return identity.Session{}, fmt.Errorf("open session: %w", c.loginFailure(req, ans))
	}
	var body struct {
		AccessToken secret.String `json:"access_token"`
		ExpiresIn   int64         `json:"expires_in"`
	}
	if err := ans.Decode(&body); err != nil || body.AccessToken == "" {
		return identity.Session{}, fmt.Errorf("open session: %w", &identity.Unavailable{Err: remote.ErrUnreadable})
	}
	return identity.Session{Token: body.AccessToken, ExpiresAt: asked.Add(remote.Lifetime(body.ExpiresIn))}, nil
}

// loginRefusals are the refusals of the person, by Auth0's code.
var loginRefusals = map[string]identity.Rejected{
	"invalid_grant":     {Code: "wrong_credentials", Message: messages.ID("field.login_refused")},
	"mfa_required":      {Code: "mfa_required", Message: messages.ID("field.login_second_factor")},
	"too_many_attempts": {Code: "too_many_attempts", Message: messages.ID("field.login_often")},
	"password_leaked":   {Code: "password_leaked", Message: messages.ID("field.password_breached")},
	"unauthorized":      {Code: "blocked", Message: messages.ID("field.login_blocked")},
	"access_denied":     {Code: "access_denied", Message: messages.ID("field.login_blocked")},
}

// clientRefusal matches refusals with the code access_denied that are about the application rather than the person. An
// Action of the tenant may use the same code for a person.
var clientRefusal = regexp.MustCompile(`^(Unauthorized$|Client |Service not |Non-global client)`)

// loginFailure turns a refusal into an error of package identity, for a person's login.
func (c *Client) loginFailure(req remote.Call, ans remote.Answer) error {
	var p struct {
		Code        string `json:"error"`
		Description string `json:"error_description"`
	}
	_ = ans.Decode(&p)
	cause := c.remote.Quote(req, ans, p.Code, p.Description)
	refusal, known := loginRefusals[p.Code]
	switch {
	case known && (p.Code != "access_denied" || !clientRefusal.MatchString(p.Description)):
		refusal.Field = "password"
		return &refusal
	case ans.Transient():
		return c.remote.Unavailable(req, ans, cause)
	case ans.Status == http.StatusUnauthorized, p.Code == "invalid_client":
		return &identity.Misconfigured{Hint: c.cfg.Settings.Sprintf("check $ClientID and $ClientSecret"), Err: cause}
	case p.Code == "unauthorized_client":
		return &identity.Misconfigured{
			Hint: "turn on the grant type Password of the application " + c.cfg.ClientID + ", in its advanced settings",
			Err:  cause,
		}
	}
	return &identity.Misconfigured{
		Hint: c.cfg.Settings.Sprintf("let the application %s ask for tokens for the API %q ($Audience) with passwords of the "+
			"connection %q", c.cfg.ClientID, c.cfg.Audience, c.cfg.connection()),
		Err: cause,
	}
}
