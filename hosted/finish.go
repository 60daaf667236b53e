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

// Finish reads what the provider has sent the browser back with. The trip is that of the browser's cookie; it is known with
// most errors too, and zero with [ErrStateMismatch]. A registration that rests (see [Provider.Hold]) is found as it was: an answer
// is used once, and the person may load the page again. One that is finished (see [Provider.Done]) has no person any more, and
// the trip has its SignupID. The same answer several times at once is redeemed once for all.
//
// It fails with [ErrStateMismatch], [ErrExpired], [ErrCodeRejected], [ErrAccessDenied], [ErrLoginRequired], [ErrUnverified], [ErrNoEmail], an
// *[identity.Unavailable] or an *[identity.Misconfigured]. None of their texts holds a code, a token or a secret.
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
		// A browser that asks again at once lets go of its first request, whose code cannot be given twice.
		return p.redeem(context.WithoutCancel(r.Context()), provider, answer.code, m)
	})
	return m.State, person.(Person), err
}

// answer is the query of a callback.
type callback struct{ state, code, issuer, failure, description string }

const maxCodeLength = 4096

// parseCallback refuses a parameter that is there twice: of two readers each might take another one.
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

// checkIssuer keeps answers apart where a person uses several providers, one of which may be hostile (RFC 9207).
func (p *Provider) checkIssuer(provider *providerMetadata, issuer string) error {
	if issuer == "" && provider.sendsIssuer {
		return fmt.Errorf("%w: it does not say which provider it is from", ErrStateMismatch)
	}
	if issuer != "" && subtle.ConstantTimeCompare([]byte(issuer), []byte(p.cfg.Issuer)) != 1 {
		return fmt.Errorf("%w: it is from another provider", ErrStateMismatch)
	}
	return nil
}

// explain sorts the errors of OAuth 2.0 and OpenID Connect. The texts come through the browser, and are for the log alone.
func (p *Provider) callbackError(a callback) error {
	told := fmt.Sprintf("%q: %q", secret.Redact(a.failure), secret.Redact(a.description))
	switch {
	case slices.Contains([]string{"access_denied", "unauthorized"}, a.failure): // the latter: a rule at Auth0 did not let the person in
		return fmt.Errorf("%w: %s", ErrAccessDenied, told)
	case slices.Contains([]string{"login_required", "interaction_required", "consent_required", "account_selection_required"}, a.failure):
		return fmt.Errorf("%w: %s", ErrLoginRequired, told)
	case slices.Contains([]string{"temporarily_unavailable", "server_error"}, a.failure):
		return &identity.Unavailable{Err: fmt.Errorf("it sent the person back with %s", told)}
	}
	return &identity.Misconfigured{
		Hint: "look at HOMEROOM_HOSTED_CLIENT_ID, HOMEROOM_HOSTED_SCOPES, HOMEROOM_HOSTED_PARAMS and the application at the provider",
		Err:  fmt.Errorf("it sent the person back with %s", told),
	}
}
