package auth0test

import (
	"net/http"
	"slices"
)

// job is work that Auth0 does later.
type job struct {
	Type      string `json:"type"`
	Status    string `json:"status"`
	CreatedAt Time   `json:"created_at"`
	ID        string `json:"id"`
}

var verificationSchema = []property{
	{name: "user_id", kind: "string", min: 1, description: "user_id of the user to send the verification email to."},
	{name: "client_id", kind: "string", min: 1, description: "client_id of the client (application). If no value provided, the global Client ID will be used."},
	{name: "identity", kind: "object", description: "This must be provided to verify primary social, enterprise and passwordless email identities."},
	{name: "organization_id", kind: "string", min: 1, description: "(Optional) Organization ID – the ID of the Organization."},
}

// createVerification answers 201 before it is known whether the mail is sent, as recorded. The job contains the result
// later: here it fails for a verified user, like the recorded one.
func (s *Server) createVerification(w http.ResponseWriter, r *http.Request) {
	members, refusal := readChecked(r, verificationSchema, "user_id")
	if id, given := members["client_id"].(string); refusal == nil && given && !s.isKnownClient(id) {
		refusal = badBody("client_id " + id + " does not exist") // recorded as a refusal; its text is a [GUESS]
	}
	if refusal != nil {
		refusal.write(w)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	rec, ok := s.users[members["user_id"].(string)]
	if !ok { // [GUESS]: the documented statuses have no 404
		userMissing().write(w)
		return
	}
	made := &job{Type: "verification_email", Status: "pending", CreatedAt: s.timestamp(), ID: newID("job_")}
	writeJSON(w, http.StatusCreated, made)
	if made.Status = "failed"; !rec.User.EmailVerified {
		made.Status = "completed"
		link := &ticket{ID: randomText(32), Kind: verifyPath, UserID: rec.User.ID, Expires: s.now().Add(usualTicket), Verifies: true}
		s.directory.Tickets = append(s.directory.Tickets, link)
		s.mails = append(s.mails, Mail{
			Kind: MailVerification, To: rec.User.Email, UserID: rec.User.ID, Link: s.linkOf(link), At: s.now(),
		})
	}
	s.directory.Jobs = append(s.directory.Jobs, made)
	s.mustSave()
}

func (s *Server) getJob(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.directory.Jobs, func(j *job) bool { return j.ID == r.PathValue("id") })
	if i < 0 {
		problem{Status: http.StatusNotFound, Code: "inexistent_job", Message: "The job does not exist."}.write(w) // [GUESS]
		return
	}
	writeJSON(w, http.StatusOK, s.directory.Jobs[i])
}
