package auth0test

import (
	"cmp"
	"net/http"
	"regexp"
	"strings"
)

// createUser is POST /api/v2/users: https://auth0.com/docs/api/management/v2/users/post-users
func (s *Server) createUser(w http.ResponseWriter, r *http.Request) {
	members, refusal := readBody(r, newUserSchema)
	if refusal == nil {
		refusal = checkSchema(members, newUserSchema, true, "connection")
	}
	if refusal == nil {
		refusal = checkMetadata(members)
	}
	if refusal != nil {
		refusal.write(w)
		return
	}
	if s.cfg.CustomDomainConflict && r.Header.Get("auth0-custom-domain") == "" {
		problem{
			Status: http.StatusConflict, Code: codeCustomDomainConflict,
			Message: "The tenant has multiple verified custom domains.",
		}.write(w)
		return
	}
	connection, refusal := s.creatingConnection(members)
	if refusal != nil {
		refusal.write(w)
		return
	}
	user := s.newUser(connection, members)
	password, _ := members["password"].(string)
	hash := "" // with this hash nobody can log in
	if connection.Strategy == strategyDatabase {
		if refusal := connection.checkPassword(password, user, nil); refusal != nil {
			refusal.write(w)
			return
		}
		hash = hashPassword(password)
	}
	if refusal := s.insert(user, hash, wantsMail(members)); refusal != nil {
		refusal.write(w)
		return
	}
	writeJSON(w, http.StatusCreated, user)
}

// creatingConnection finds the connection and refuses what it does not support. The schema does not require e-mail and
// password, but a database refuses their absence with the schema's text [FIELD].
func (s *Server) creatingConnection(members map[string]any) (Connection, *problem) {
	bad := func(message, code string) (Connection, *problem) {
		return Connection{}, &problem{Status: http.StatusBadRequest, Message: message, Code: code}
	}
	connection, ok := s.connection(members["connection"].(string))
	username, hasUsername := members["username"].(string)
	switch {
	case !ok:
		return bad("The connection does not exist.", codeConnectionMissing)
	case connection.Disabled: // [DOC], as are the next two
		return bad("Connection is disabled.", "")
	case connection.Strategy != strategyDatabase && connection.Strategy != strategyEmail:
		return bad("Connection does not support user creation through the API. "+
			"It must either be a database or passwordless connection.", "")
	case hasUsername && !connection.RequiresUsername:
		return bad("Cannot set username for connection without requires_username.", "")
	case members["email"] == nil:
		return Connection{}, badBody("Missing required property: email")
	case connection.RequiresUsername && !hasUsername:
		return Connection{}, badBody("Missing required property: username")
	case hasUsername && (!usernamePattern.MatchString(username) || isEmail(username)):
		return Connection{}, badBody("Object didn't pass validation for format username: " + username)
	case connection.Strategy == strategyEmail && members["password"] != nil: // [GUESS]
		return bad("Cannot set password for a passwordless connection.", "")
	case connection.Strategy == strategyDatabase && members["password"] == nil:
		return Connection{}, badBody("Missing required property: password")
	}
	return connection, nil
}

// usernamePattern has the documented characters and the default lengths:
// https://auth0.com/docs/authenticate/database-connections/require-username
var usernamePattern = regexp.MustCompile("^[A-Za-z0-9^$.!`\\-#+'~_@]{1,15}$")

func (s *Server) newUser(connection Connection, members map[string]any) User {
	text := func(name string) string { t, _ := members[name].(string); return t }
	email := strings.ToLower(text("email"))
	local, _, _ := strings.Cut(email, "@")
	// It is a [GUESS] that a passwordless connection uses the caller's id, as a database does.
	provider := connection.Strategy
	id := cmp.Or(strings.TrimPrefix(text("user_id"), provider+"|"), newUserID())
	now := s.timestamp()
	user := User{
		ID: provider + "|" + id, Email: email, Username: strings.ToLower(text("username")), PhoneNumber: text("phone_number"),
		GivenName: text("given_name"), FamilyName: text("family_name"),
		Name: cmp.Or(text("name"), email), Nickname: cmp.Or(text("nickname"), local),
		Picture:    cmp.Or(text("picture"), defaultPicture(email)),
		Identities: []Identity{{Connection: connection.Name, UserID: id, Provider: provider}},
		CreatedAt:  now, UpdatedAt: now,
		Blocked: flag(members, "blocked"), PhoneVerified: flag(members, "phone_verified"),
	}
	user.EmailVerified, _ = members["email_verified"].(bool)
	user.UserMetadata, _ = members["user_metadata"].(map[string]any)
	user.AppMetadata, _ = members["app_metadata"].(map[string]any)
	return user
}

// flag returns nil if the member was not sent: the answer omits it too.
func flag(members map[string]any, name string) *bool {
	if value, ok := members[name].(bool); ok {
		return &value
	}
	return nil
}

// wantsMail reports whether a verification mail is sent [DOC]: verify_email decides, otherwise whether the e-mail is
// verified.
func wantsMail(members map[string]any) bool {
	if asked, ok := members["verify_email"].(bool); ok {
		return asked
	}
	verified, _ := members["email_verified"].(bool)
	return !verified
}

// insert stores a user; of several concurrent creates of one e-mail exactly one succeeds. A taken id is refused like an
// e-mail.
func (s *Server) insert(user User, hash string, mail bool) *problem {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, taken := s.users[user.ID]; taken {
		return userExists()
	}
	for _, name := range user.loginNames() {
		if _, taken := s.logins[name]; taken && name.kind == byEmail {
			return userExists()
		} else if taken {
			return usernameTaken()
		}
	}
	s.put(&record{User: user.clone(), Hashes: []string{hash}, SearchableSince: s.now().Add(s.cfg.SearchDelay)})
	s.reindex(user)
	if mail {
		s.mails = append(s.mails, Mail{Kind: MailVerification, To: user.Email, UserID: user.ID, At: s.now()})
	}
	s.mustSave()
	return nil
}

func usernameTaken() *problem { // [FIELD]: 400, where an e-mail is 409
	return &problem{Status: http.StatusBadRequest, Message: "The username provided is in use already."}
}

func userExists() *problem { // [FIELD]
	return &problem{Status: http.StatusConflict, Code: codeUserExists, Message: "The user already exists."}
}
