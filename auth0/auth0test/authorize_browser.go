package auth0test

import (
	"net/http"
	"slices"
	"sync"
	"time"
)

// sessionCookie has the name of Auth0's own cookie.
const sessionCookie = "auth0"

const (
	sessionLifetime = 3 * 24 * time.Hour
	codeLifetime    = 10 * time.Minute // [GUESS]
)

// browser is the tenant's data about browsers. It is in memory only: a restart logs everybody out.
type browser struct {
	mu sync.Mutex
	// pending requests are by the id in the pages' addresses, sessions by the cookie.
	pending  map[string]*authorization
	sessions map[string]browserSession
	codes    map[string]*code
	// accessTokens are the access tokens for which codes were exchanged, for /userinfo.
	accessTokens map[string]access
}

type browserSession struct {
	userID  string
	expires time.Time
}

// code is an authorization code, which an application exchanges for tokens, once.
type code struct {
	of      *authorization
	userID  string
	expires time.Time
	used    bool
}

type access struct {
	userID, scope string
	expires       time.Time
}

func newBrowser() *browser {
	return &browser{
		pending: map[string]*authorization{}, sessions: map[string]browserSession{}, codes: map[string]*code{},
		accessTokens: map[string]access{},
	}
}

// begin stores a request until it is answered.
func (b *browser) begin(a *authorization) {
	a.id = randomText(32)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pending[a.id] = a
}

// request returns the pending request of a page.
func (b *browser) request(id string, now time.Time) (*authorization, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	a, ok := b.pending[id]
	return a, ok && now.Before(a.expires)
}

// end removes an answered request.
func (b *browser) end(a *authorization) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.pending, a.id)
}

func (b *browser) issueCode(a *authorization, userID string, now time.Time) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	id := randomText(43)
	b.codes[id] = &code{of: a, userID: userID, expires: now.Add(codeLifetime)}
	return id
}

// useCode finds a valid code of the application, and marks it as used if check has no objection.
func (b *browser) useCode(id string, app Application, now time.Time, check func(*code) *oauthError) (*code, *oauthError) {
	b.mu.Lock()
	defer b.mu.Unlock()
	found, ok := b.codes[id]
	if !ok || found.used || found.of.app.ClientID != app.ClientID || !now.Before(found.expires) {
		return nil, invalidCode()
	}
	if refusal := check(found); refusal != nil {
		return nil, refusal
	}
	found.used = true
	return found, nil
}

func (b *browser) grantAccess(token string, granted access) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.accessTokens[token] = granted
}

func (b *browser) access(token string, now time.Time) (access, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	granted, ok := b.accessTokens[token]
	return granted, ok && now.Before(granted.expires)
}

// session returns the person who is logged in with a browser.
func (s *Server) session(r *http.Request) (User, bool) {
	cookie, err := r.Cookie(sessionCookie)
	if err != nil {
		return User{}, false
	}
	s.browser.mu.Lock()
	found, ok := s.browser.sessions[cookie.Value]
	s.browser.mu.Unlock()
	if !ok || !s.now().Before(found.expires) {
		return User{}, false
	}
	return s.User(found.userID)
}

// openSession logs a browser in.
func (s *Server) openSession(w http.ResponseWriter, userID string) {
	id := randomText(43)
	s.browser.mu.Lock()
	s.browser.sessions[id] = browserSession{userID: userID, expires: s.now().Add(sessionLifetime)}
	s.browser.mu.Unlock()
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // the simulator speaks plain http, by which no Secure cookie would come back
		Name: sessionCookie, Value: id, Path: "/", MaxAge: int(sessionLifetime / time.Second), HttpOnly: true,
		SameSite: http.SameSiteLaxMode,
	})
}

// getLogout is GET /v2/logout: https://auth0.com/docs/api/authentication/logout/auth-0-logout. Without a client_id the
// lists of all applications are allowed, as the tenant's own list would be.
func (s *Server) getLogout(w http.ResponseWriter, r *http.Request) {
	returnTo, clientID := r.URL.Query().Get("returnTo"), r.URL.Query().Get("client_id")
	allowed := slices.ContainsFunc(s.cfg.Applications, func(a Application) bool {
		return (clientID == "" || a.ClientID == clientID) && slices.Contains(a.LogoutURLs, returnTo)
	})
	if returnTo != "" && !allowed { // [FIELD]
		s.errorPage(w, http.StatusBadRequest, "Cannot go there", "The returnTo is not in the list of allowed logout URLs.")
		return
	}
	if cookie, err := r.Cookie(sessionCookie); err == nil {
		s.browser.mu.Lock()
		delete(s.browser.sessions, cookie.Value)
		s.browser.mu.Unlock()
	}
	//nolint:gosec // as in openSession
	http.SetCookie(w, &http.Cookie{Name: sessionCookie, Path: "/", MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	if returnTo == "" {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte("OK")) // [FIELD]
		return
	}
	http.Redirect(w, r, returnTo, http.StatusFound) //nolint:gosec // it is one of the list
}

// social reports whether a connection's accounts belong to another service.
func (s *Server) social(connection string) bool { return slices.Contains(s.cfg.Social, connection) }
