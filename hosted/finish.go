package hosted

import (
	"context"
	"crypto/subtle"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"homeroom/identity"
	"homeroom/internal/secret"
)

// Finish handles the callback to which the provider redirects the browser. The state is that of the browser's cookie.
// It is returned with most errors too, and is zero with [ErrStateMismatch]. If the state was saved (see
// [Provider.SaveState]), it is returned with its person, and the code is not exchanged again: the person may reload the
// page. If the flow is finished (see [Provider.SaveResult]), there is no person, and the state has the SignupID.
// Concurrent requests with the same code exchange it once.
//
// It fails with [ErrStateMismatch], [ErrExpired], [ErrCodeRejected], [ErrAccessDenied], [ErrLoginRequired],
// [ErrUnverified], [ErrNoEmail], an *[identity.Unavailable] or an *[identity.Misconfigured]. None of their texts
// contains a code, a token or a secret.
func (p *Provider) Finish(r *http.Request) (FlowState, Person, error) {
	answer, err := parseCallback(r.URL.Query())
	if err != nil {
		return FlowState{}, Person{}, err
	}
	m, err := p.loadFlow(r, answer.state)
	if err != nil {
		return m.State, Person{}, err
	}
	if m.State.SignupID != "" {
		return m.State, Person{}, nil
	}
	if m.Person != nil {
		return m.State, *m.Person, nil
	}
	provider, err := p.discover(r.Context())
	if err != nil {
		return m.State, Person{}, err
	}
	if err := p.checkIssuer(provider, answer.issuer); err != nil {
		return FlowState{}, Person{}, err
	}
	if answer.failure != "" {
		return m.State, Person{}, p.callbackError(answer)
	}
	person, err, _ := p.redeeming.Do(m.State.ID+" "+answer.code, func() (any, error) {
		// A browser that reloads cancels its first request, whose code cannot be exchanged twice.
		return p.redeem(context.WithoutCancel(r.Context()), provider, answer.code, m)
	})
	return m.State, person.(Person), err
}

// callback is the query of a callback request.
type callback struct{ state, code, issuer, failure, description string }

const maxCodeLength = 4096

// parseCallback rejects repeated parameters: two parsers might choose different ones.
func parseCallback(query url.Values) (callback, error) {
	for _, name := range []string{"state", "code", "iss", "error", "error_description"} {
		if len(query[name]) > 1 {
			return callback{}, fmt.Errorf("%w: it has several of %s", ErrStateMismatch, name)
		}
	}
	a := callback{
		state: query.Get("state"), code: query.Get("code"), issuer: query.Get("iss"),
		failure: query.Get("error"), description: query.Get("error_description"),
	}
	if a.failure == "" && (a.code == "" || len(a.code) > maxCodeLength) {
		return callback{}, fmt.Errorf("%w: it has no code", ErrStateMismatch)
	}
	return a, nil
}

// checkIssuer prevents mix-up attacks between several providers (RFC 9207).
func (p *Provider) checkIssuer(provider *providerMetadata, issuer string) error {
	if issuer == "" && provider.sendsIssuer {
		return fmt.Errorf("%w: it does not say which provider it is from", ErrStateMismatch)
	}
	if issuer != "" && subtle.ConstantTimeCompare([]byte(issuer), []byte(p.cfg.Issuer)) != 1 {
		return fmt.Errorf("%w: it is from another provider", ErrStateMismatch)
	}
	return nil
}

// callbackError maps the errors of OAuth 2.0 and OpenID Connect. Their texts come from the browser, and are for the log
// only.
func (p *Provider) callbackError(a callback) error {
	details := fmt.Sprintf("%q: %q", secret.Redact(a.failure), secret.Redact(a.description))
	switch {
	case slices.Contains([]string{"access_denied", "unauthorized"}, a.failure): // the latter: a rule at Auth0 refused the person
		return fmt.Errorf("%w: %s", ErrAccessDenied, details)
	case slices.Contains([]string{"login_required", "interaction_required", "consent_required", "account_selection_required"}, a.failure):
		return fmt.Errorf("%w: %s", ErrLoginRequired, details)
	case slices.Contains([]string{"temporarily_unavailable", "server_error"}, a.failure):
		return &identity.Unavailable{Err: fmt.Errorf("it sent the person back with %s", details)}
	}
	return &identity.Misconfigured{
		Hint: p.cfg.Settings.Sprintf("look at $ClientID, $Scopes, $Params and the application at the provider"),
		Err:  fmt.Errorf("it sent the person back with %s", details),
	}
}
