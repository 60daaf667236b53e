package auth0test

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Application is an application to which people log in with a browser.
type Application struct {
	// ClientID identifies it. Required.
	ClientID string
	// Secret makes it a confidential client. Defaults to none: a public client, which must use PKCE.
	Secret string
	// Name is its name on pages. Defaults to ClientID.
	Name string
	// Callbacks are the allowed callback URLs, which are compared exactly. The first is the default of a request.
	Callbacks []string
	// LogoutURLs are the allowed URLs after a logout, which are compared exactly.
	LogoutURLs []string
}

// DefaultApplication returns the default browser application of a tenant: that of a service at its usual address.
func DefaultApplication() Application {
	return Application{
		ClientID: "homeroom-web", Secret: "homeroom-web-secret", Name: "Homeroom",
		Callbacks:  []string{"http://127.0.0.1:8080/callback", "http://localhost:8080/callback"},
		LogoutURLs: []string{"http://127.0.0.1:8080/docs", "http://localhost:8080/docs"},
	}
}

func (s *Server) isKnownClient(id string) bool {
	_, ok := s.cfg.application(id)
	return ok || id == s.cfg.ClientID
}

func (c Config) application(id string) (Application, bool) {
	i := slices.IndexFunc(c.Applications, func(a Application) bool { return a.ClientID == id })
	if i < 0 {
		return Application{}, false
	}
	app := c.Applications[i]
	app.Name = cmp.Or(app.Name, app.ClientID)
	return app, true
}

// authorization is a pending request of an application for a login.
type authorization struct {
	id                              string
	app                             Application
	redirectURI, state, nonce       string
	challenge, scope, audience      string
	prompt                          []string
	loginHint, connection, language string
	organization, invitation        string // the id; the ticket
	wantsSignup, explicitRedirect   bool
	expires                         time.Time
}

// refusedRequest is an error in the query of the application's callback.
type refusedRequest struct{ code, description string }

// getAuthorize is GET /authorize: https://auth0.com/docs/api/authentication/login/authorize-client
func (s *Server) getAuthorize(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	app, ok := s.cfg.application(query.Get("client_id"))
	if !ok { // [FIELD]
		s.errorPage(w, http.StatusForbidden, "Unknown client", "No application of this tenant has this client_id.")
		return
	}
	asked := query.Get("redirect_uri")
	if !slices.Contains(app.Callbacks, asked) && (asked != "" || len(app.Callbacks) == 0) { // [FIELD]
		s.errorPage(w, http.StatusForbidden, "Callback URL mismatch",
			"The redirect_uri is not in the application's list of allowed callback URLs. Other addresses get no redirect.")
		return
	}
	a := &authorization{
		app: app, explicitRedirect: asked != "", state: query.Get("state"), nonce: query.Get("nonce"),
		challenge: query.Get("code_challenge"), scope: query.Get("scope"), audience: query.Get("audience"),
		prompt: strings.Fields(query.Get("prompt")), loginHint: query.Get("login_hint"), connection: query.Get("connection"),
		language: s.language(query.Get("ui_locales")), organization: query.Get("organization"), invitation: query.Get("invitation"),
		wantsSignup: query.Get("screen_hint") == "signup", expires: s.now().Add(time.Hour),
	}
	a.redirectURI = cmp.Or(asked, first(app.Callbacks))
	if refusal := s.checkAuthorization(a, query); refusal != nil {
		redirectRefused(w, r, a, *refusal)
		return
	}
	user, loggedIn := s.session(r)
	switch {
	case slices.Contains(a.prompt, "none") && !loggedIn:
		redirectRefused(w, r, a, refusedRequest{"login_required", "Login required"})
	// With a session the person is redirected at once, whatever screen was requested; only prompt=login shows the login
	// nevertheless [DOC].
	case loggedIn && !slices.Contains(a.prompt, "login") && a.invitation == "" && !s.social(a.connection):
		s.finishAuthorization(w, r, a, user)
	default:
		s.browser.begin(a)
		http.Redirect(w, r, a.page(s.social(a.connection)), http.StatusFound)
	}
}

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

// page returns the page on which the person continues.
func (a *authorization) page(social bool) string {
	path := loginPath
	switch {
	case social:
		path = socialPath
	case a.wantsSignup || a.invitation != "":
		path = signupPath
	}
	return path + "?state=" + a.id
}

// checkAuthorization returns what is wrong with a request whose redirect_uri is valid. The texts are [GUESS] unless
// marked otherwise.
func (s *Server) checkAuthorization(a *authorization, query url.Values) *refusedRequest {
	bad := func(description string) *refusedRequest { return &refusedRequest{"invalid_request", description} }
	switch method := query.Get("code_challenge_method"); {
	case query.Get("response_type") == "":
		return bad("Missing required parameter: response_type") // [FIELD]
	case query.Get("response_type") != "code":
		return &refusedRequest{"unsupported_response_type", "Unsupported response type: " + query.Get("response_type")}
	case query.Get("response_mode") != "" && query.Get("response_mode") != "query":
		return bad("The simulator supports only response_mode=query")
	case a.challenge != "" && method != "S256":
		return bad("The simulator supports only the code_challenge_method S256")
	case a.challenge == "" && a.app.Secret == "":
		return bad("Parameter 'code_challenge' is required for this client")
	case slices.Contains(a.prompt, "none") && len(a.prompt) > 1:
		return bad("prompt=none cannot be combined")
	case a.audience != "" && a.audience != s.cfg.Audience:
		return &refusedRequest{"access_denied", "Service not found: " + a.audience} // [FIELD]
	}
	if conn, ok := s.connection(a.connection); a.connection != "" && !s.social(a.connection) && (!ok || conn.Strategy != strategyDatabase) {
		return bad("the connection was not found")
	}
	if a.organization == "" && a.invitation != "" {
		return bad("invitation needs organization")
	}
	if a.organization != "" {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.checkOrganization(a)
	}
	return nil
}

// checkOrganization finds an organization by its id or name, and checks the invitation's ticket. It needs s.mu.
func (s *Server) checkOrganization(a *authorization) *refusedRequest {
	i := slices.IndexFunc(s.directory.Organizations, func(o *Organization) bool {
		return o.ID == a.organization || o.Name == strings.ToLower(a.organization)
	})
	if i < 0 {
		return &refusedRequest{"invalid_request", "parameter organization is invalid"}
	}
	a.organization = s.directory.Organizations[i].ID
	if a.invitation != "" && s.openInvitation(a) == nil {
		return &refusedRequest{"invalid_request", "invitation not found or already used"} // [FIELD]
	}
	return nil
}

// openInvitation needs s.mu.
func (s *Server) openInvitation(a *authorization) *Invitation {
	i := slices.IndexFunc(s.directory.Invitations, func(i *Invitation) bool {
		return i.TicketID == a.invitation && i.OrganizationID == a.organization && s.now().Before(i.ExpiresAt.Time)
	})
	if i < 0 {
		return nil
	}
	return s.directory.Invitations[i]
}

// finishAuthorization redirects the person to the application with a code.
func (s *Server) finishAuthorization(w http.ResponseWriter, r *http.Request, a *authorization, user User) {
	if a.organization != "" {
		if refusal := s.joinOrganization(a, user); refusal != nil {
			redirectRefused(w, r, a, *refusal)
			return
		}
	}
	redirectBack(w, r, a, url.Values{"code": {s.browser.issueCode(a, user.ID, s.now())}})
}

// joinOrganization checks that a user is a member of the organization, and makes an invited user a member. The refusal
// is [FIELD].
func (s *Server) joinOrganization(a *authorization, user User) *refusedRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	org, refusal := s.organization(a.organization)
	if refusal != nil {
		return &refusedRequest{"invalid_request", "parameter organization is invalid"}
	}
	if invitation := s.openInvitation(a); invitation != nil {
		if !org.isMember(user.ID) {
			org.Members = append(org.Members, Member{UserID: user.ID, Since: s.now()})
		}
		org.Roles[user.ID] = append(org.Roles[user.ID], invitation.Roles...)
		s.directory.Invitations = slices.DeleteFunc(s.directory.Invitations, func(i *Invitation) bool { return i == invitation })
		s.mustSave()
	}
	if !org.isMember(user.ID) {
		return &refusedRequest{"access_denied", "user " + user.ID + " is not part of the " + org.ID + " organization"}
	}
	return nil
}

func redirectRefused(w http.ResponseWriter, r *http.Request, a *authorization, refusal refusedRequest) {
	redirectBack(w, r, a, url.Values{"error": {refusal.code}, "error_description": {refusal.description}})
}

// redirectBack redirects the person to the application. The state is returned unchanged, and omitted if the request had
// none.
func redirectBack(w http.ResponseWriter, r *http.Request, a *authorization, params url.Values) {
	if a.state != "" {
		params.Set("state", a.state)
	}
	to, err := url.Parse(a.redirectURI)
	if err != nil { // it is one of the application's, so this only happens to a wrongly configured tenant
		http.Error(w, "the callback cannot be read", http.StatusInternalServerError)
		return
	}
	for name, values := range to.Query() {
		params[name] = append(values, params[name]...)
	}
	to.RawQuery = params.Encode()
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, to.String(), http.StatusFound)
}
