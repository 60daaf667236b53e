package auth0test

import (
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// ticket is a link that works once.
type ticket struct {
	ID        string    `json:"id"`
	Kind      string    `json:"kind"` // the path of its page
	UserID    string    `json:"user_id"`
	ResultURL string    `json:"result_url,omitempty"`
	Expires   time.Time `json:"expires"`
	// password is the password that its use sets, without a page. It is not in the state file.
	password string
	// Verifies says that its use verifies the e-mail.
	Verifies bool `json:"verifies,omitempty"`
}

const (
	resetPath  = "/u/reset-password" // as recorded; see verifyPath
	verifyPath = "/u/email-verification"
	// otherResetPath is the path of the same page at newer tenants [DOC].
	otherResetPath = "/u/reset-verify"
	// usualTicket is the default lifetime of a ticket [DOC].
	usualTicket = 5 * 24 * time.Hour
)

var (
	verifyTicketSchema = []property{
		{name: "user_id", kind: "string", min: 1, description: "user_id of for whom the ticket should be created."},
		{name: "result_url", kind: "string", format: "strict-uri", description: "URL the user will be redirected to in the classic Universal Login experience once the ticket is used."},
		{name: "client_id", kind: "string", min: 1, description: "ID of the client (application)."},
		{name: "organization_id", kind: "string", min: 1, description: "(Optional) Organization ID – the ID of the Organization."},
		{name: "ttl_sec", kind: "number", description: "Number of seconds for which the ticket is valid before expiration."},
		{name: "includeEmailInRedirect", kind: "boolean", description: "Whether to include the email address as part of the returnUrl in the reset_email (true), or not (false)."},
		{name: "identity", kind: "object", description: "This must be provided to verify primary social, enterprise and passwordless email identities."},
	}
	passwordTicketSchema = append(slices.Clone(verifyTicketSchema), []property{
		{name: "connection_id", kind: "string", min: 1, description: "ID of the connection. If provided, allows the user to be specified using email instead of user_id."},
		{name: "email", kind: "string", format: "email", description: "Email address of the user for whom the tickets should be created."},
		// recorded, but no longer documented
		{name: "new_password", kind: "string", min: 1, description: "The password to be set for the user once the ticket is used."},
		{name: "mark_email_as_verified", kind: "boolean", description: "Whether to set the email_verified attribute to true (true) or whether it should not be updated (false)."},
	}...)
)

// createPasswordTicket is POST /api/v2/tickets/password-change:
// https://auth0.com/docs/api/management/v2/tickets/post-password-change
func (s *Server) createPasswordTicket(w http.ResponseWriter, r *http.Request) {
	s.createTicket(w, r, resetPath, passwordTicketSchema)
}

// createVerifyTicket is POST /api/v2/tickets/email-verification:
// https://auth0.com/docs/api/management/v2/tickets/post-email-verification
func (s *Server) createVerifyTicket(w http.ResponseWriter, r *http.Request) {
	s.createTicket(w, r, verifyPath, verifyTicketSchema, "user_id")
}

func (s *Server) createTicket(w http.ResponseWriter, r *http.Request, kind string, schema []property, required ...string) {
	members, refusal := readChecked(r, schema, required...)
	life := usualTicket
	if refusal == nil {
		life, refusal = lifetime(members, usualTicket, 0)
	}
	if refusal != nil {
		refusal.write(w)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	rec, refusal := s.ticketUser(members)
	if refusal != nil {
		refusal.write(w)
		return
	}
	issued := &ticket{ID: randomText(32), Kind: kind, UserID: rec.User.ID, Expires: s.now().Add(life), Verifies: kind == verifyPath}
	issued.ResultURL, _ = members["result_url"].(string)
	issued.password, _ = members["new_password"].(string)
	if marks, _ := members["mark_email_as_verified"].(bool); marks {
		issued.Verifies = true
	}
	s.directory.Tickets = append(s.directory.Tickets, issued)
	s.mustSave()
	writeJSON(w, http.StatusCreated, map[string]string{"ticket": s.linkOf(issued)})
}

// linkOf ends with a #, as recorded.
func (s *Server) linkOf(t *ticket) string { return s.URL() + t.Kind + "?ticket=" + t.ID + "#" }

// ticketUser finds the user of a ticket, by id or by e-mail and connection. It needs s.mu.
func (s *Server) ticketUser(members map[string]any) (*record, *problem) {
	id, _ := members["user_id"].(string)
	email, _ := members["email"].(string)
	connID, _ := members["connection_id"].(string)
	conn, known := s.connectionByID(connID)
	var rec *record
	switch {
	case id != "":
		rec = s.users[id]
	case email == "" || connID == "": // [GUESS]
		return nil, badBody("Missing required property: user_id")
	case known:
		rec = s.logins[loginName{conn.Connection.Name, byEmail, email}]
	}
	if rec == nil {
		return nil, userMissing()
	}
	return rec, nil
}

// takeTicket finds a valid ticket. It is removed only with use: scanners of mails follow links too. It needs s.mu.
func (s *Server) takeTicket(id string, use bool, kinds ...string) (*ticket, bool) {
	i := slices.IndexFunc(s.directory.Tickets, func(t *ticket) bool { return t.ID == id && slices.Contains(kinds, t.Kind) })
	if i < 0 || !s.now().Before(s.directory.Tickets[i].Expires) {
		return nil, false
	}
	found := s.directory.Tickets[i]
	if use {
		s.directory.Tickets = slices.Delete(s.directory.Tickets, i, i+1)
	}
	return found, true
}

// resetTemplate is much less than Auth0's page, and enough to choose a password.
var resetTemplate = template.Must(template.New("reset").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{{.Title}}</title>
<style>body{font:16px/1.5 system-ui;max-width:26rem;margin:3rem auto;padding:0 1rem}input{display:block;width:100%;margin:.5rem 0 1rem}</style>
<h1>{{.Title}}</h1>
{{with .Message}}<p role="alert">{{.}}</p>{{end}}
{{if .Ticket}}<form method="post" action="{{.Action}}"><input type="hidden" name="ticket" value="{{.Ticket}}">
<label>New password<input type="password" name="password" autocomplete="new-password" required></label>
<button type="submit">Set password</button></form>{{end}}
</html>
`))

type resetPage struct{ Title, Message, Ticket, Action string }

func writePage(w http.ResponseWriter, status int, page resetPage) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	w.WriteHeader(status)
	_ = resetTemplate.Execute(w, page) // the caller may have disconnected
}

// expiredPage is for a ticket that was used, or never existed. Its status is a [GUESS].
func expiredPage(w http.ResponseWriter) {
	writePage(w, http.StatusBadRequest, resetPage{Title: "Link expired", Message: "This link was used before, or is no longer valid."})
}

// getReset shows the page, as often as it is requested.
func (s *Server) getReset(w http.ResponseWriter, r *http.Request) {
	id := r.URL.Query().Get("ticket")
	s.mu.Lock()
	found, ok := s.takeTicket(id, false, resetPath)
	s.mu.Unlock()
	if !ok {
		expiredPage(w)
		return
	}
	if found.password != "" {
		s.usePassword(w, r, id, found.password)
		return
	}
	writePage(w, http.StatusOK, resetPage{Title: "Choose a password", Ticket: id, Action: r.URL.Path})
}

// postReset sets the password. A weak one does not use up the ticket.
func (s *Server) postReset(w http.ResponseWriter, r *http.Request) {
	s.usePassword(w, r, r.PostFormValue("ticket"), r.PostFormValue("password"))
}

func (s *Server) usePassword(w http.ResponseWriter, r *http.Request, id, password string) {
	s.mu.Lock()
	found, ok := s.takeTicket(id, true, resetPath)
	s.mu.Unlock()
	if !ok {
		expiredPage(w)
		return
	}
	if _, refusal := s.patch(found.UserID, map[string]any{"password": password}); refusal != nil {
		s.mu.Lock()
		s.directory.Tickets = append(s.directory.Tickets, found)
		s.mu.Unlock()
		writePage(w, refusal.Status, resetPage{Title: "Choose a password", Message: refusal.Message, Ticket: id, Action: r.URL.Path})
		return
	}
	s.finishTicket(w, r, found, "Your password is set.")
}

// getVerification verifies the e-mail.
func (s *Server) getVerification(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	found, ok := s.takeTicket(r.URL.Query().Get("ticket"), true, verifyPath)
	s.mu.Unlock()
	if !ok {
		expiredPage(w)
		return
	}
	s.finishTicket(w, r, found, "Your e-mail address is verified.")
}

// finishTicket redirects to the ticket's result URL, with Auth0's members of the query [DOC].
func (s *Server) finishTicket(w http.ResponseWriter, r *http.Request, used *ticket, message string) {
	if used.Verifies {
		_, _ = s.patch(used.UserID, map[string]any{"email_verified": true}) // the user may have been deleted meanwhile
	}
	if used.ResultURL == "" {
		writePage(w, http.StatusOK, resetPage{Title: message})
		return
	}
	to, err := url.Parse(used.ResultURL)
	if err != nil {
		expiredPage(w)
		return
	}
	query := to.Query()
	query.Set("success", "true")
	query.Set("message", message)
	to.RawQuery = query.Encode()
	http.Redirect(w, r, to.String(), http.StatusFound)
}
