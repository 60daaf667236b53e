package auth0test

import (
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"
)

// strategyEmail is the strategy of the passwordless connection whose people get a code by e-mail.
const strategyEmail = "email"

// startPasswordless is POST /passwordless/start:
// https://auth0.com/docs/api/authentication/passwordless/get-code-or-link. The answer is recorded; refusals have their
// own format [FIELD]. No code is sent, since no grant of the simulator uses one.
func (s *Server) startPasswordless(w http.ResponseWriter, r *http.Request) {
	var body struct {
		ClientID     string `json:"client_id"`
		ClientSecret string `json:"client_secret"`
		Connection   string `json:"connection"`
		Email        string `json:"email"`
	}
	refuse := func(code, description string) {
		(&oauthError{Status: http.StatusBadRequest, Code: code, Description: description}).write(w)
	}
	err := json.NewDecoder(r.Body).Decode(&body)
	conn, ok := s.connection(body.Connection)
	switch {
	case err != nil:
		refuse("bad.request", "Malformed body")
		return
	case body.ClientID != s.cfg.ClientID:
		refuse("bad.client_id", "Missing required property: client_id")
		return
	case !ok || conn.Strategy != strategyEmail:
		refuse("bad.connection", "Connection does not exist")
		return
	case !isEmail(body.Email):
		refuse("bad.email", "error in email - email format validation failed: "+body.Email)
		return
	}
	email := strings.ToLower(body.Email)
	s.mu.Lock()
	defer s.mu.Unlock()
	id, verified := hex.EncodeToString([]byte(randomText(12))), false
	if rec, ok := s.logins[loginName{conn.Name, byEmail, email}]; ok {
		id, verified = rec.User.Identities[0].UserID, rec.User.EmailVerified
	}
	s.mails = append(s.mails, Mail{Kind: MailPasswordless, To: email, At: s.now()})
	s.mustSave()
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	writeBody(w, http.StatusOK, map[string]any{"_id": id, "email": email, "email_verified": verified})
}

// changePassword is POST /dbconnections/change_password. It answers with HTML, as recorded, and with the same for an
// unknown e-mail [GUESS].
func (s *Server) changePassword(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Connection string `json:"connection"`
		Email      string `json:"email"`
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		malformed().write(w)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if rec, ok := s.logins[loginName{body.Connection, byEmail, strings.ToLower(body.Email)}]; ok {
		link := &ticket{ID: randomText(32), Kind: resetPath, UserID: rec.User.ID, Expires: s.now().Add(usualTicket)}
		s.directory.Tickets = append(s.directory.Tickets, link)
		s.mails = append(s.mails, Mail{
			Kind: MailPassword, To: rec.User.Email, UserID: rec.User.ID, Link: s.linkOf(link), At: s.now(),
		})
		s.mustSave()
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write([]byte("We've just sent you an email to reset your password."))
}
