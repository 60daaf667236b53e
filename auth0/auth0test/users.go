package auth0test

import (
	"cmp"
	"crypto/md5" //nolint:gosec // gravatar's addresses are MD5 sums
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

// User is a user as the Management API shows it.
type User struct {
	// ID is "auth0|" and either the caller's id or 24 hexadecimal digits.
	ID            string         `json:"user_id"`
	Email         string         `json:"email,omitempty"`
	EmailVerified bool           `json:"email_verified"`
	Username      string         `json:"username,omitempty"`
	PhoneNumber   string         `json:"phone_number,omitempty"`
	PhoneVerified *bool          `json:"phone_verified,omitempty"`
	GivenName     string         `json:"given_name,omitempty"`
	FamilyName    string         `json:"family_name,omitempty"`
	Name          string         `json:"name,omitempty"`
	Nickname      string         `json:"nickname,omitempty"`
	Picture       string         `json:"picture,omitempty"`
	Blocked       *bool          `json:"blocked,omitempty"`
	Identities    []Identity     `json:"identities"`
	UserMetadata  map[string]any `json:"user_metadata,omitzero"`
	AppMetadata   map[string]any `json:"app_metadata,omitzero"`
	CreatedAt     Time           `json:"created_at"`
	UpdatedAt     Time           `json:"updated_at"`

	LastPasswordReset Time `json:"last_password_reset,omitzero"`
	LastLogin         Time `json:"last_login,omitzero"`
	LoginsCount       int  `json:"logins_count,omitempty"`
	// LastIP is the address of the last login.
	LastIP string `json:"last_ip,omitempty"`
}

// Identity is the connection of a user.
type Identity struct {
	Connection string `json:"connection"`
	// UserID is the user's id without its prefix.
	UserID   string `json:"user_id"`
	Provider string `json:"provider"`
	IsSocial bool   `json:"isSocial"`
}

// Time is written in UTC, with milliseconds even if they are zero.
type Time struct{ time.Time }

const timeLayout = "2006-01-02T15:04:05.000Z"

// MarshalJSON implements [json.Marshaler].
func (t Time) MarshalJSON() ([]byte, error) { return json.Marshal(t.UTC().Format(timeLayout)) }

// record is a user with data that no answer contains.
type record struct {
	User User `json:"user"`
	// Hashes are those of the password and of old ones, the newest first.
	Hashes []string `json:"hashes"`
	// SearchableSince is when the search begins to find the user in its first state.
	SearchableSince time.Time `json:"seen"`
}

// Mail is a message that Auth0 would have sent.
type Mail struct {
	Kind   string `json:"kind"`
	To     string `json:"to"`
	UserID string `json:"user_id"`
	// Link is the link in the mail, if the simulator has its page.
	Link string    `json:"link,omitempty"`
	At   time.Time `json:"at"`
}

// The kinds of mail.
const (
	MailVerification = "verification"
	MailPassword     = "password"
	MailPasswordless = "passwordless"
	MailInvitation   = "invitation"
)

// User returns a copy of the user with this id, such as "auth0|…".
func (s *Server) User(id string) (User, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rec, ok := s.users[id]
	if !ok {
		return User{}, false
	}
	return rec.User.clone(), true
}

// Users returns copies of all users, the oldest first.
func (s *Server) Users() []User {
	s.mu.Lock()
	defer s.mu.Unlock()
	users := make([]User, 0, len(s.users))
	for _, rec := range s.users {
		users = append(users, rec.User.clone())
	}
	slices.SortFunc(users, func(a, b User) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt.Time), strings.Compare(a.ID, b.ID))
	})
	return users
}

// DeleteAll removes all users and mails, also from the search, and all organizations. Roles stay.
func (s *Server) DeleteAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.users)
	clear(s.logins)
	clear(s.index)
	s.mails = nil
	s.directory = &directory{Connections: s.directory.Connections, Roles: s.directory.Roles, UserRoles: map[string][]string{}}
	s.mustSave()
}

// Mails returns the mails so far, the earliest first.
func (s *Server) Mails() []Mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.mails)
}

// loginName is a name for logins, which is unique within a connection, for each kind.
type loginName struct{ connection, kind, name string }

const (
	byEmail    = "email"
	byUsername = "username"
)

func (u User) loginNames() []loginName {
	connection := u.Identities[0].Connection
	names := []loginName{{connection, byEmail, u.Email}}
	if u.Username != "" {
		names = append(names, loginName{connection, byUsername, u.Username})
	}
	return names
}

// put stores a user and replaces its old state. The caller updates the search. It needs s.mu.
func (s *Server) put(rec *record) {
	s.remove(rec.User.ID)
	s.users[rec.User.ID] = rec
	for _, name := range rec.User.loginNames() {
		s.logins[name] = rec
	}
}

// remove removes a user, and reports whether it existed. The caller updates the search. It needs s.mu.
func (s *Server) remove(id string) bool {
	rec, ok := s.users[id]
	if !ok {
		return false
	}
	delete(s.users, id)
	for _, name := range rec.User.loginNames() {
		delete(s.logins, name)
	}
	return true
}

// clone copies what a caller could change; metadata is copied as JSON.
func (u User) clone() User {
	u.Identities = slices.Clone(u.Identities)
	u.UserMetadata = cloneJSON(u.UserMetadata)
	u.AppMetadata = cloneJSON(u.AppMetadata)
	return u
}

func cloneJSON(m map[string]any) map[string]any {
	if m == nil {
		return nil
	}
	raw, err := json.Marshal(m)
	if err != nil {
		panic(fmt.Sprintf("auth0test: copy metadata: %v", err)) // cannot happen: it came as JSON
	}
	var c map[string]any
	_ = json.Unmarshal(raw, &c)
	return c
}

// newUserID returns an id as Auth0 chooses one.
func newUserID() string {
	b := make([]byte, 12)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// defaultPicture is as recorded: a gravatar, with an image of the first two letters as its default.
func defaultPicture(email string) string {
	sum := md5.Sum([]byte(strings.ToLower(email))) //nolint:gosec // see the import
	letters := []rune(strings.ToLower(email))
	return fmt.Sprintf("https://s.gravatar.com/avatar/%x?s=480&r=pg&d=https%%3A%%2F%%2Fcdn.auth0.com%%2Favatars%%2F%s.png",
		sum, string(letters[:min(2, len(letters))]))
}

// login checks a password; the user is identified by e-mail or username.
func (s *Server) login(r *http.Request, connection, name, password string) (User, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name = strings.ToLower(name)
	rec, ok := s.logins[loginName{connection, byEmail, name}]
	if !ok {
		rec, ok = s.logins[loginName{connection, byUsername, name}]
	}
	if !ok || !samePassword(rec.Hashes[0], password) {
		return User{}, false
	}
	if rec.User.Blocked == nil || !*rec.User.Blocked {
		s.loggedIn(r, rec)
	}
	return rec.User.clone(), true
}

// loggedIn counts a login. An application that logs people in sends their address in a header [DOC]. It needs s.mu.
func (s *Server) loggedIn(r *http.Request, rec *record) {
	address, _, _ := net.SplitHostPort(r.RemoteAddr)
	rec.User.LastIP = cmp.Or(r.Header.Get("Auth0-Forwarded-For"), address)
	rec.User.LastLogin = s.timestamp()
	rec.User.LoginsCount++
	s.reindex(rec.User)
	s.mustSave()
}

func (s *Server) timestamp() Time { return Time{s.now().UTC().Truncate(time.Millisecond)} }

// pathID returns the user id of the path.
func pathID(r *http.Request) (string, *problem) { return userIDOf(r.PathValue("id")) }

// userIDOf checks a user id. Every id has a provider and a bar [FIELD].
func userIDOf(id string) (string, *problem) {
	if provider, rest, ok := strings.Cut(id, "|"); !ok || provider == "" || rest == "" {
		return "", &problem{
			Status: http.StatusBadRequest, Code: codeURI,
			Message: "Path validation error: 'Object didn't pass validation for format user-id: " + id + "' on property id (The user_id of the user to retrieve.).",
		}
	}
	return id, nil
}
