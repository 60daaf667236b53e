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

// FlowState is what a registration remembers of its beginning until its end.
type FlowState struct {
	// ID names the registration. It is the state of the request to the provider, and as good as a secret until that answers.
	ID string `json:"id"`
	// SchoolName, Locales and Invitation are as they were given; each may be empty.
	SchoolName string `json:"school,omitempty"`
	Locales    string `json:"locales,omitempty"`
	Invitation string `json:"invitation,omitempty"`
	// Confirm is the secret of the sign-up that is to be confirmed; empty for a registration.
	Confirm string `json:"confirm,omitempty"`
	// ReturnTo is where the person is sent on to; empty is nowhere.
	ReturnTo string `json:"return,omitempty"`
	// Silent tells that nothing was to be shown (prompt=none).
	Silent bool `json:"silent,omitempty"`
	// SignupID is what came of the registration; empty until it is finished (see [Provider.Done]).
	SignupID string `json:"signup,omitempty"`
}

// memory is what a cookie holds. Once the provider has told who it is, the answer takes the place of the question.
type flow struct {
	State        FlowState `json:"trip"`
	Nonce        string    `json:"nonce,omitempty"`
	Verifier     string    `json:"verifier,omitempty"`
	Organization string    `json:"organization,omitempty"`
	// BeganAt is in seconds.
	BeganAt int64   `json:"began"`
	Person  *Person `json:"person,omitempty"`
}

// Person is who has registered, in the provider's words.
type Person struct {
	Identity identity.User `json:"login"`
	// GivenName, FamilyName and Name may be empty.
	GivenName  string `json:"given,omitempty"`
	FamilyName string `json:"family,omitempty"`
	Name       string `json:"name,omitempty"`
	// Locale is the person's own, as the provider knows it; may be empty.
	Locale string `json:"locale,omitempty"`
	// OrganizationID is what the person has logged in to at the provider, if anything.
	OrganizationID string `json:"org,omitempty"`
}

const (
	cookiePrefix = "homeroom-register-"
	// maxCookies is how many registrations a browser may have begun. Together they fit into what a server reads of headers.
	maxCookies = 4
)

// cookieName is another one for every registration, so that several tabs do not take each other's.
func (p *Provider) cookieName(id string) string {
	name := cookiePrefix + id[:min(16, len(id))]
	if p.secure {
		// Browsers take a cookie of this name from this very host alone, by https: no neighbouring host can plant one.
		return "__Host-" + name
	}
	return name
}

func (p *Provider) cookie(id, value string, age time.Duration) *http.Cookie {
	seconds := int(age / time.Second)
	if seconds <= 0 {
		seconds = -1 // remove it
	}
	return &http.Cookie{ //nolint:gosec // Secure wherever people reach us by https
		Name: p.cookieName(id), Value: value, Path: "/", MaxAge: seconds, Secure: p.secure, HttpOnly: true,
		// The provider sends the browser back with a plain navigation from another site, which Lax lets through and Strict would not.
		SameSite: http.SameSiteLaxMode,
	}
}

// seal encrypts and authenticates a memory.
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

// unseal reads a memory. Its error is [ErrStateMismatch], or [ErrExpired] for one of ours that is too old.
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

// remember finds the registration of this id in the browser's cookies. Its error is that of unseal.
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

// tidy removes registrations of this browser that are over, and the oldest where there are too many for one more.
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
	slices.SortFunc(open, func(a, b flow) int { // those that are finished go first
		return cmp.Or(cmp.Compare(b.State.SignupID, a.State.SignupID), cmp.Compare(a.BeganAt, b.BeganAt))
	})
	for _, m := range open[:max(0, len(open)-maxCookies+1)] {
		ends = append(ends, p.ClearState(m.State))
	}
	return ends
}

// Drop is the cookie that ends a registration in the browser.
func (p *Provider) ClearState(state FlowState) *http.Cookie { return p.cookie(state.ID, "", 0) }

// Done is the cookie of a registration that is finished, for another lifetime: [Provider.Finish] and [Provider.Held] tell what
// came of it when its page is loaded again.
func (p *Provider) SaveResult(state FlowState, signupID string) (*http.Cookie, error) {
	return p.seal(flow{
		State: FlowState{ID: state.ID, Locales: state.Locales, ReturnTo: state.ReturnTo, SignupID: signupID}, BeganAt: p.cfg.Now().Unix(),
	})
}

// Hold is the cookie with which a registration rests whose person is known, for another lifetime: the school's name is still
// to be asked for, or what comes next cannot be done now. [Provider.Held] finds it again.
func (p *Provider) SaveState(state FlowState, person Person) (*http.Cookie, error) {
	return p.seal(flow{State: state, Person: &person, BeganAt: p.cfg.Now().Unix()})
}

// Held finds a registration that rests, by its [FlowState.ID]. There is no person once it is finished: the trip has its
// SignupID. It fails with [ErrStateMismatch] and [ErrExpired].
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
