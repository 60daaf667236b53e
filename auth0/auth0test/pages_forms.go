package auth0test

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// routeBrowser adds the routes for browsers, and those with which applications exchange codes.
func (s *Server) routeBrowser(mux *http.ServeMux) {
	mux.HandleFunc("GET /authorize", s.getAuthorize)
	mux.HandleFunc("GET /v2/logout", s.getLogout)
	mux.HandleFunc("GET "+stylePath, s.getStyle)
	for _, path := range []string{loginPath, signupPath, socialPath} {
		mux.HandleFunc("GET "+path, s.getForm)
		mux.HandleFunc("POST "+path, s.postForm)
	}
	mux.HandleFunc("GET /userinfo", s.getUserInfo)
	mux.HandleFunc("POST /userinfo", s.getUserInfo)
	mux.HandleFunc("POST /dbconnections/signup", s.postSignup)
}

// getForm shows the page of a pending request.
func (s *Server) getForm(w http.ResponseWriter, r *http.Request) {
	if a, ok := s.pendingRequest(w, r); ok {
		s.showForm(w, r, a, http.StatusOK, s.loginHint(a), "")
	}
}

func (s *Server) pendingRequest(w http.ResponseWriter, r *http.Request) (*authorization, bool) {
	a, ok := s.browser.request(r.FormValue("state"), s.now())
	if !ok { // [FIELD]
		s.errorPage(w, http.StatusBadRequest, "Invalid state", "Go back to the application and begin again.")
	}
	return a, ok
}

// loginHint returns the address with which the form is prefilled: that of the invitation, or the hint if it is one.
func (s *Server) loginHint(a *authorization) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if invitation := s.openInvitation(a); invitation != nil {
		email, _ := invitation.Invitee["email"].(string)
		return email
	}
	return a.loginHint
}

func (s *Server) showForm(w http.ResponseWriter, r *http.Request, a *authorization, status int, email, message string) {
	words := pageWords[a.language]
	page := loginPage{
		Words: words, Language: a.language, App: a.app.Name, Path: r.URL.Path, State: a.id, Email: email, Message: message,
		Social: s.cfg.Social, NoSignup: s.database(a).NoSignup,
	}
	template := loginTemplate
	switch r.URL.Path {
	case socialPath:
		template, page.Connection, page.App = socialTemplate, s.socialOf(a, r), ""
		page.Heading = words["login"]
	case signupPath:
		page.Signup, page.Heading, page.Other = true, words["signup"], loginPath+"?state="+a.id
	default:
		page.Heading, page.Other = words["login"], signupPath+"?state="+a.id
	}
	s.showPage(w, status, template, page)
}

// database returns the connection to which the pages log in.
func (s *Server) database(a *authorization) Connection {
	if conn, ok := s.connection(a.connection); ok && conn.Strategy == strategyDatabase {
		return conn
	}
	for _, conn := range s.connections() {
		if conn.Connection.Strategy == strategyDatabase {
			return conn.Connection
		}
	}
	return Connection{NoSignup: true}
}

func (s *Server) socialOf(a *authorization, r *http.Request) string {
	if asked := r.FormValue("connection"); s.social(asked) {
		return asked
	}
	if s.social(a.connection) {
		return a.connection
	}
	return first(s.cfg.Social)
}

// postForm handles the submitted form.
func (s *Server) postForm(w http.ResponseWriter, r *http.Request) {
	a, ok := s.pendingRequest(w, r)
	if !ok {
		return
	}
	if r.PostFormValue("action") == "cancel" {
		s.browser.end(a)
		redirectRefused(w, r, a, refusedRequest{"access_denied", "User did not authorize the request"}) // [FIELD]
		return
	}
	email, password := strings.TrimSpace(r.PostFormValue("email")), r.PostFormValue("password")
	var user User
	var message string
	switch r.URL.Path {
	case socialPath:
		user, message = s.socialLogin(r, s.socialOf(a, r), email)
	case signupPath:
		user, message = s.signUp(r, s.database(a), email, password)
	default:
		if user, ok = s.login(r, s.database(a).Name, email, password); !ok {
			message = "Wrong email or password"
		}
	}
	if message == "" && user.Blocked != nil && *user.Blocked {
		s.browser.end(a)
		redirectRefused(w, r, a, refusedRequest{"unauthorized", "user is blocked"}) // [FIELD]
		return
	}
	if message != "" {
		s.showForm(w, r, a, http.StatusBadRequest, email, message)
		return
	}
	s.browser.end(a)
	s.openSession(w, user.ID)
	s.finishAuthorization(w, r, a, user)
}

// signUp creates a user as Auth0's page does: it sends a mail, and logs the person in before the mail is answered.
func (s *Server) signUp(r *http.Request, conn Connection, email, password string) (user User, message string) {
	switch {
	case conn.NoSignup:
		return User{}, "Public signup is disabled"
	case !isEmail(email):
		return User{}, "Email is not valid."
	}
	user = s.newUser(conn, map[string]any{"email": email})
	if refusal := conn.checkPassword(password, user, nil); refusal != nil {
		_, text, _ := strings.Cut(refusal.Message, ": ")
		return User{}, text
	}
	if refusal := s.insert(user, hashPassword(password), true); refusal != nil {
		return User{}, refusal.Message
	}
	user, _ = s.login(r, conn.Name, email, password)
	return user, ""
}

// socialLogin finds the account at the simulated provider, or creates it. Its id depends only on the address.
func (s *Server) socialLogin(r *http.Request, connection, email string) (user User, message string) {
	email = strings.ToLower(email)
	if !isEmail(email) || connection == "" {
		return User{}, "Email is not valid."
	}
	sum := sha256.Sum256([]byte(email))
	number := fmt.Sprintf("1%020s", strconv.FormatUint(binary.BigEndian.Uint64(sum[:8]), 10)) // 21 digits, as Google's
	user = s.newUser(Connection{Name: connection}, map[string]any{"email": email, "email_verified": true})
	user.ID = connection + "|" + number
	user.Identities = []Identity{{Connection: connection, UserID: number, Provider: connection, IsSocial: true}}
	if _, known := s.User(user.ID); !known {
		if refusal := s.insert(user, "", false); refusal != nil {
			return User{}, refusal.Message
		}
	}
	return s.socialLoggedIn(r, user.ID), ""
}

// socialLoggedIn counts a login of an existing account.
func (s *Server) socialLoggedIn(r *http.Request, id string) User {
	s.mu.Lock()
	defer s.mu.Unlock()
	rec, ok := s.users[id]
	if !ok { // removed at this moment
		return User{}
	}
	if rec.User.Blocked == nil || !*rec.User.Blocked {
		s.loggedIn(r, rec)
	}
	return rec.User.clone()
}
