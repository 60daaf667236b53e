// Package scimtest is an organization at Asgardeo in memory, behind a real HTTP server: tokens, users, roles,
// applications, and the faults of a network.
//
// Its answers follow Asgardeo's API documents (https://wso2.com/asgardeo/docs/apis/), and otherwise RFC 7643 and RFC
// 7644. A comment says [DOC] for a behaviour from Asgardeo's documents that the RFCs do not require, [FIELD] for one
// that only public reports of its server show, and [GUESS] if nothing was found. [Quirks] are differences of other
// servers.
package scimtest

import (
	"cmp"
	"encoding/json"
	"iter"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"homeroom/internal/flaky"
)

// Config is the configuration of the organization. The zero value is usable.
type Config struct {
	// ClientID and ClientSecret are those of the only application. Default to "homeroom-dev" and "homeroom-dev-secret",
	// for loopback only.
	ClientID, ClientSecret string
	// Token is a bearer token that is always valid. Defaults to none.
	Token string
	// TokenLifetime is the lifetime of access tokens. Defaults to an hour.
	TokenLifetime time.Duration
	// Applications are names, Roles display names. Roles belong to the first application, or to the organization if
	// there is none. Default to "School Portal" and "School Admin".
	Applications, Roles []string
	// Quirks are differences from Asgardeo.
	Quirks Quirks
	// Now is the server's clock. Defaults to time.Now.
	Now func() time.Time
}

// Quirks are differences of other servers from Asgardeo.
type Quirks struct {
	// BareSchemas sends errors whose "schemas" is a text [DOC], NumericStatus those whose "status" is a number.
	BareSchemas, NumericStatus bool
	// DuplicateIsBadRequest answers 400 to a user name that is taken.
	DuplicateIsBadRequest bool
	// QuotedPaths accepts only paths with quoted ids, as in RFC 7644; otherwise only Asgardeo's are accepted [DOC].
	QuotedPaths bool
	// NoTarget refuses to remove a user who is not a member.
	NoTarget bool
	// EmptyIs404 answers 404 when a filter finds nothing [DOC, for roles].
	EmptyIs404 bool
	// LooseFilters makes "eq" match prefixes, case-insensitively.
	LooseFilters bool
	// ObjectEmails sends e-mails as objects, as in RFC 7643; otherwise as strings [FIELD].
	ObjectEmails bool
	// OmitsRoles omits the roles of users.
	OmitsRoles bool
	// DropsExternalIDs drops the externalId of new users.
	DropsExternalIDs bool
	// NumericIDs uses numbers as the ids of users and roles.
	NumericIDs bool
	// Reshape, if not nil, changes the answer for a user.
	Reshape func(user map[string]any)
}

// Organization is the path of the organization.
const Organization = "/t/lincoln"

// Server is one organization. All its methods are safe for use by many goroutines.
type Server struct {
	*flaky.Server
	cfg Config

	made         atomic.Int64
	mu           sync.Mutex
	users        map[string]*User
	names        map[string]*User // by user name, in lower case
	roles        []*role
	applications []application
	tokens       map[string]grant
}

// User is a user of the organization.
type User struct {
	ID, ExternalID, UserName, Email string
	Password                        string
	CreatedAt                       time.Time
	EmailVerified                   bool
	// Body is the body of the create.
	Body map[string]any
}

type role struct {
	ID, Name, Audience string
	members            map[string]bool
}

type application struct{ ID, Name string }

// Listen serves an organization on addr, such as "127.0.0.1:0", until Close.
func Listen(addr string, cfg Config) (*Server, error) {
	s := newServer(cfg)
	var err error
	s.Server, err = flaky.Listen(addr, func(string) flaky.Service {
		return flaky.Service{
			Handler: http.StripPrefix(Organization, s.routes()),
			Fail:    func(w http.ResponseWriter, status int) { s.refuse(w, status, "", "Injected failure") },
			Throttle: func(w http.ResponseWriter, _ *http.Request, after time.Duration) {
				w.Header().Set("Retry-After", seconds(after)) // [GUESS]
				s.refuse(w, http.StatusTooManyRequests, "", "Too many requests")
			},
			Refuse: func(w http.ResponseWriter) { s.refuse(w, http.StatusUnauthorized, "Unauthorized", "") },
		}
	})
	return s, err
}

// Start serves an organization on loopback until the test ends.
func Start(t testing.TB, cfg Config) *Server {
	t.Helper()
	s, err := Listen("127.0.0.1:0", cfg)
	if err != nil {
		t.Fatalf("start the SCIM simulator: %v", err)
	}
	t.Cleanup(s.Close)
	return s
}

func newServer(cfg Config) *Server {
	cfg.ClientID = cmp.Or(cfg.ClientID, "homeroom-dev")
	cfg.ClientSecret = cmp.Or(cfg.ClientSecret, "homeroom-dev-secret")
	cfg.TokenLifetime = cmp.Or(cfg.TokenLifetime, time.Hour)
	if cfg.Applications == nil {
		cfg.Applications = []string{"School Portal"}
	}
	if cfg.Roles == nil {
		cfg.Roles = []string{"School Admin"}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	s := &Server{cfg: cfg, users: map[string]*User{}, names: map[string]*User{}, tokens: map[string]grant{}}
	audience := ""
	for i, name := range cfg.Applications {
		id := s.AddApplication(name)
		if i == 0 {
			audience = id
		}
	}
	for _, name := range cfg.Roles {
		s.AddRole(name, audience)
	}
	return s
}

// newID returns an id for a new resource.
func (s *Server) newID() string {
	if s.cfg.Quirks.NumericIDs {
		return strconv.FormatInt(9007199254740993+s.made.Add(1), 10) // more than a float64 holds
	}
	return uuid.NewString()
}

// shownID returns an id as it is sent.
func (s *Server) shownID(id string) any {
	if s.cfg.Quirks.NumericIDs {
		return json.Number(id)
	}
	return id
}

// URL returns the organization's base URL, without a slash at the end.
func (s *Server) URL() string { return s.Address() + Organization }

// Config returns the effective settings, with defaults.
func (s *Server) Config() Config { return s.cfg }

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /oauth2/token", s.postToken)
	mux.HandleFunc("POST /scim2/Users", s.managed("internal_user_mgt_create", s.createUser))
	mux.HandleFunc("GET /scim2/Users", s.managed("internal_user_mgt_list", listing(s,
		func() iter.Seq[*User] { return maps.Values(s.users) }, s.userMatches, s.show, "No users found")))
	mux.HandleFunc("GET /scim2/Users/{id}", s.managed("internal_user_mgt_view", s.getUser))
	mux.HandleFunc("PATCH /scim2/Users/{id}", s.managed("internal_user_mgt_update", s.patchUser))
	mux.HandleFunc("DELETE /scim2/Users/{id}", s.managed("internal_user_mgt_delete", s.deleteUser))
	mux.HandleFunc("GET /scim2/v2/Roles", s.managed("internal_role_mgt_view", listing(s,
		func() iter.Seq[*role] { return slices.Values(s.roles) }, s.roleMatches, s.showRole, "Role not found in the system.")))
	mux.HandleFunc("PATCH /scim2/v2/Roles/{id}", s.managed("internal_role_mgt_update", s.patchRole))
	mux.HandleFunc("GET /api/server/v1/applications", s.managed("internal_application_mgt_view", s.listApplications))
	return mux
}

// Users returns the users, in no particular order.
func (s *Server) Users() []User {
	s.mu.Lock()
	defer s.mu.Unlock()
	users := []User{}
	for _, u := range s.users {
		users = append(users, *u)
	}
	return users
}

// AddUser adds a user whom nobody created through the API, such as one who signed up on Asgardeo's own page. It chooses
// an ID if it is empty.
func (s *Server) AddUser(u User) string {
	u.ID = cmp.Or(u.ID, s.newID())
	if u.CreatedAt.IsZero() {
		u.CreatedAt = s.cfg.Now()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users[u.ID], s.names[strings.ToLower(u.UserName)] = &u, &u
	return u.ID
}

// AddApplication adds an application and returns its id.
func (s *Server) AddApplication(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := s.newID()
	s.applications = append(s.applications, application{id, name})
	return id
}

// AddRole adds a role of an application, or of the organization if that is empty, and returns its id.
func (s *Server) AddRole(name, application string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &role{ID: s.newID(), Name: name, Audience: application, members: map[string]bool{}}
	s.roles = append(s.roles, r)
	return r.ID
}

// RemoveRoles removes the roles with a name.
func (s *Server) RemoveRoles(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := s.roles[:0]
	for _, r := range s.roles {
		if r.Name != name {
			kept = append(kept, r)
		}
	}
	s.roles = kept
}

// Members returns the ids of the users who have a role with this name.
func (s *Server) Members(name string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := []string{}
	for _, r := range s.roles {
		for id := range r.members {
			if r.Name == name {
				ids = append(ids, id)
			}
		}
	}
	return ids
}

func writeJSON(w http.ResponseWriter, status int, mediaType string, body any) {
	w.Header().Set("Content-Type", mediaType)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the caller may have disconnected
}
