package hosted

import (
	"cmp"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"homeroom/identity"
)

// FlowState is the state of one registration, from [Provider.Start] to its end.
type FlowState struct {
	// ID identifies the flow. It is the parameter state of the authorization request, and secret until the callback.
	ID string `json:"id"`
	// SchoolName, Locales and Invitation are as in the options; each may be empty.
	SchoolName string `json:"school,omitempty"`
	Locales    string `json:"locales,omitempty"`
	Invitation string `json:"invitation,omitempty"`
	// Confirm is the secret of the sign-up to be confirmed; empty for a registration.
	Confirm string `json:"confirm,omitempty"`
	// ReturnTo is the return URL; may be empty.
	ReturnTo string `json:"return,omitempty"`
	// Silent says that the provider must show no page (prompt=none).
	Silent bool `json:"silent,omitempty"`
	// SignupID is the sign-up of a finished flow; empty before (see [Provider.SaveResult]).
	SignupID string `json:"signup,omitempty"`
}

// flow is the content of a cookie. Once the person is known, Person replaces Nonce, Verifier and Organization.
type flow struct {
	State        FlowState `json:"trip"`
	Nonce        string    `json:"nonce,omitempty"`
	Verifier     string    `json:"verifier,omitempty"`
	Organization string    `json:"organization,omitempty"`
	// in seconds
	BeganAt int64   `json:"began"`
	Person  *Person `json:"person,omitempty"`
}

// Person is the person who has registered, by the provider's claims.
type Person struct {
	Identity identity.User `json:"login"`
	// GivenName, FamilyName and Name may be empty.
	GivenName  string `json:"given,omitempty"`
	FamilyName string `json:"family,omitempty"`
	Name       string `json:"name,omitempty"`
	// Locale is the person's language at the provider; may be empty.
	Locale string `json:"locale,omitempty"`
	// OrganizationID is the provider's organization to which the person has logged in; may be empty.
	OrganizationID string `json:"org,omitempty"`
}

const (
	cookiePrefix = "homeroom-register-"
	// maxCookies is how many flows a browser may have at a time. Their cookies fit into the limit for request headers.
	maxCookies = 4
)

// cookieName is different for each flow, so that the flows of several tabs do not replace each other.
func (p *Provider) cookieName(id string) string {
	name := cookiePrefix + id[:min(16, len(id))]
	if p.secure {
		// Browsers accept a cookie with this prefix from this host only, by https: a sibling host cannot set one.
		return "__Host-" + name
	}
	return name
}

func (p *Provider) cookie(id, value string, age time.Duration) *http.Cookie {
	seconds := int(age / time.Second)
	if seconds <= 0 {
		seconds = -1 // this removes it
	}
	return &http.Cookie{ //nolint:gosec // Secure wherever browsers reach us by https
		Name: p.cookieName(id), Value: value, Path: "/", MaxAge: seconds, Secure: p.secure, HttpOnly: true,
		// The provider redirects from another site: the browser sends the cookie with Lax, but not with Strict.
		SameSite: http.SameSiteLaxMode,
	}
}

// seal encrypts and authenticates a flow.
func (p *Provider) seal(m flow) (*http.Cookie, error) {
	plain, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("write registration: %w", err)
	}
	encrypter, err := jose.NewEncrypter(jose.A256GCM, jose.Recipient{Algorithm: jose.DIRECT, Key: p.key}, nil)
	if err != nil {
		return nil, fmt.Errorf("make cookie cipher: %w", err)
	}
	sealed, err := encrypter.Encrypt(plain)
	if err != nil {
		return nil, fmt.Errorf("seal registration: %w", err)
	}
	value, err := sealed.CompactSerialize()
	if err != nil {
		return nil, fmt.Errorf("write sealed registration: %w", err)
	}
	return p.cookie(m.State.ID, value, p.cfg.Lifetime), nil
}

// unseal decrypts a flow. Its error is [ErrStateMismatch], or [ErrExpired] for a valid flow that is too old.
func (p *Provider) unseal(value string) (flow, error) {
	sealed, err := jose.ParseEncryptedCompact(value, []jose.KeyAlgorithm{jose.DIRECT}, []jose.ContentEncryption{jose.A256GCM})
	if err != nil {
		return flow{}, fmt.Errorf("%w: the cookie is not sealed", ErrStateMismatch)
	}
	plain, err := sealed.Decrypt(p.key)
	if err != nil {
		return flow{}, fmt.Errorf("%w: the cookie's seal is not ours", ErrStateMismatch)
	}
	var m flow
	if err := json.Unmarshal(plain, &m); err != nil {
		return flow{}, fmt.Errorf("%w: the cookie cannot be read", ErrStateMismatch)
	}
	if !p.cfg.Now().Before(time.Unix(m.BeganAt, 0).Add(p.cfg.Lifetime)) {
		return m, ErrExpired
	}
	return m, nil
}

// loadFlow reads the flow with this id from the browser's cookies. Its error is that of unseal.
func (p *Provider) loadFlow(r *http.Request, id string) (flow, error) {
	if id == "" {
		return flow{}, fmt.Errorf("%w: it has no state", ErrStateMismatch)
	}
	cookies := r.CookiesNamed(p.cookieName(id))
	if len(cookies) != 1 {
		return flow{}, fmt.Errorf("%w: this browser has %d cookies for it", ErrStateMismatch, len(cookies))
	}
	m, err := p.unseal(cookies[0].Value)
	if subtle.ConstantTimeCompare([]byte(m.State.ID), []byte(id)) != 1 {
		return flow{}, fmt.Errorf("%w: the cookie is of another registration", ErrStateMismatch)
	}
	return m, err
}

// pruneCookies deletes this browser's cookies of ended flows, and those of the oldest flows if there are too many.
func (p *Provider) pruneCookies(r *http.Request) []*http.Cookie {
	prefix := p.cookieName("")
	var ends []*http.Cookie
	var open []flow
	for _, cookie := range r.Cookies() {
		id, ours := strings.CutPrefix(cookie.Name, prefix)
		if !ours {
			continue
		}
		m, err := p.unseal(cookie.Value)
		if err != nil || p.cookieName(m.State.ID) != cookie.Name {
			ends = append(ends, p.cookie(id, "", 0))
			continue
		}
		open = append(open, m)
	}
	slices.SortFunc(open, func(a, b flow) int { // finished flows are deleted first
		return cmp.Or(cmp.Compare(b.State.SignupID, a.State.SignupID), cmp.Compare(a.BeganAt, b.BeganAt))
	})
	for _, m := range open[:max(0, len(open)-maxCookies+1)] {
		ends = append(ends, p.ClearState(m.State))
	}
	return ends
}

// ClearState returns the cookie that deletes a flow's state in the browser.
func (p *Provider) ClearState(state FlowState) *http.Cookie { return p.cookie(state.ID, "", 0) }

// SaveResult returns the cookie of a finished flow. It is valid for another lifetime: when the page is loaded again,
// [Provider.Finish] and [Provider.LoadState] return the state with its SignupID.
func (p *Provider) SaveResult(state FlowState, signupID string) (*http.Cookie, error) {
	return p.seal(flow{
		State: FlowState{ID: state.ID, Locales: state.Locales, ReturnTo: state.ReturnTo, SignupID: signupID}, BeganAt: p.cfg.Now().Unix(),
	})
}

// SaveState returns the cookie of a flow whose person is known. It is valid for another lifetime: the name of the school is still
// missing, or the next step cannot be done now. [Provider.LoadState] reads it.
func (p *Provider) SaveState(state FlowState, person Person) (*http.Cookie, error) {
	return p.seal(flow{State: state, Person: &person, BeganAt: p.cfg.Now().Unix()})
}

// LoadState reads a saved state by its [FlowState.ID]. If the flow is finished there is no person, and the state has
// its SignupID. It fails with [ErrStateMismatch] or [ErrExpired].
func (p *Provider) LoadState(r *http.Request, id string) (FlowState, Person, error) {
	m, err := p.loadFlow(r, id)
	if err == nil && m.State.SignupID != "" {
		return m.State, Person{}, nil
	}
	if err == nil && m.Person == nil {
		err = fmt.Errorf("%w: the provider has not answered yet", ErrStateMismatch)
	}
	if err != nil {
		return m.State, Person{}, err
	}
	return m.State, *m.Person, nil
}
