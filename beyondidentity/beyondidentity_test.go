package beyondidentity_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"homeroom/beyondidentity"
	"homeroom/beyondidentity/bitest"
	"homeroom/identity"
	"homeroom/identity/identitytest"
	"homeroom/internal/flaky"
	"homeroom/internal/secret"
)

// configOf returns the configuration of a client for a tenant: with a token for version 1, as a client for version 2.
func configOf(tenant *bitest.Server, version beyondidentity.Version) beyondidentity.Config {
	cfg := beyondidentity.Config{BaseURL: tenant.Address(), APIToken: secret.String(tenant.Config().APIToken)}
	if version == beyondidentity.V2 {
		cfg.APIToken = ""
		cfg.ClientID, cfg.ClientSecret = tenant.Config().ClientID, secret.String(tenant.Config().ClientSecret)
	}
	return cfg
}

func newClient(t *testing.T, cfg beyondidentity.Config) *beyondidentity.Client {
	t.Helper()
	client, err := beyondidentity.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func newUser() identity.NewUser {
	return identity.NewUser{ID: uuid.New(), Email: "ada.canary@lincoln.example", Person: identity.Person{GivenName: "Ada", FamilyName: "Lovelace"}}
}

// creates are the routes of creates.
var creates = map[beyondidentity.Version]string{beyondidentity.V1: "/v1/manage/users", beyondidentity.V2: "/v2/users"}

func TestProvider(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		version beyondidentity.Version
		tenant  bitest.Config
	}{
		"version 1":                              {beyondidentity.V1, bitest.Config{}},
		"version 1, with other answers":          {beyondidentity.V1, bitest.Config{FlatAnswers: true}},
		"version 2":                              {beyondidentity.V2, bitest.Config{}},
		"version 2, which retains deleted users": {beyondidentity.V2, bitest.Config{RetainsDeleted: true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			identitytest.TestProvider(t, func(t *testing.T) identitytest.Fixture {
				tenant := bitest.Start(t, c.tenant)
				return identitytest.Fixture{
					Provider: newClient(t, configOf(tenant, c.version)),
					Inject: func(kind identitytest.Fault) {
						fault := kind.Flaky()
						fault.Method, fault.Path = http.MethodPost, creates[c.version]
						tenant.Inject(fault)
					},
					Creates:            func() int { return tenant.CountCalls(http.MethodPost, creates[c.version]) },
					ProviderChoosesIDs: true,
				}
			})
		})
	}
}

// bodies records the bodies of creates.
type bodies struct{ sent []string }

// RoundTrip implements http.RoundTripper.
func (b *bodies) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodPost && !strings.Contains(r.URL.Path, "oauth2") {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		b.sent = append(b.sent, string(body))
	}
	return http.DefaultTransport.RoundTrip(r)
}

func TestCreateSendsEverythingThatIsRequired(t *testing.T) {
	t.Parallel()
	for version, form := range map[beyondidentity.Version]string{
		beyondidentity.V1: `{"external_id":%q,"email":%q,"user_name":%q,"display_name":%q,"binding_token_delivery_method":"email"}`,
		beyondidentity.V2: `{"user":{"external_id":%q,"email_address":%q,"username":%q,"display_name":%q}}`,
	} {
		for display, change := range map[string]func(*identity.NewUser){
			"Ada Lovelace": func(*identity.NewUser) {},
			"Countess":     func(u *identity.NewUser) { u.Name = "Countess" },
			"Lovelace":     func(u *identity.NewUser) { u.GivenName = "" },
			"ada.canary@lincoln.example": func(u *identity.NewUser) {
				u.GivenName, u.FamilyName, u.Email = "", "", "Ada.Canary@Lincoln.example"
			},
		} {
			t.Run(string(version)+" "+display, func(t *testing.T) {
				t.Parallel()
				tenant, seen := bitest.Start(t, bitest.Config{}), &bodies{}
				cfg := configOf(tenant, version)
				cfg.Transport = seen
				user := newUser()
				user.Password = "not-a-password-canary"
				change(&user)
				made, err := newClient(t, cfg).Create(t.Context(), user)
				if err != nil {
					t.Fatal(err)
				}
				email := "ada.canary@lincoln.example"
				if want := fmt.Sprintf(form, user.ID, email, email, display); len(seen.sent) != 1 || seen.sent[0] != want {
					t.Errorf("sent %q, want %s", seen.sent, want)
				}
				there := tenant.Users()[0]
				if made.ID != there.ID || !made.CreatedAt.Equal(there.CreatedAt) || made.OurID != user.ID {
					t.Errorf("created %+v, and the tenant has %+v", made, there)
				}
				if mails := tenant.Mails(); len(mails) != 1 || mails[0] != email {
					t.Errorf("mails went to %v", mails)
				}
			})
		}
	}
}

func TestTheResetOfARateLimitIsSecondsToWait(t *testing.T) {
	t.Parallel()
	tenant := bitest.Start(t, bitest.Config{})
	client := newClient(t, configOf(tenant, beyondidentity.V2))
	tenant.Inject(flaky.Fault{Path: "/v2/users", Kind: flaky.RateLimited, RetryAfter: 30 * time.Second})
	for range 2 {
		_, err := client.Create(t.Context(), newUser())
		var u *identity.Unavailable
		if !errors.As(err, &u) || !u.Throttled || u.Unknown || u.RetryAfter < 25*time.Second || u.RetryAfter > 30*time.Second {
			t.Errorf("error is %#v, want that it is throttled for 30 s", u)
		}
	}
	if n := tenant.CountCalls(http.MethodPost, "/v2/users"); n != 1 {
		t.Errorf("%d creates were sent, want one: the second was refused here", n)
	}
}

func TestUnmanagedUsersAreFoundByEmail(t *testing.T) {
	t.Parallel()
	tenant := bitest.Start(t, bitest.Config{RetainsDeleted: true})
	client := newClient(t, configOf(tenant, beyondidentity.V2))
	odd := `a"b\c@lincoln.example`
	id := tenant.AddUser(bitest.User{ExternalID: "0001f1f460b1ace6", Email: odd})
	tenant.AddUser(bitest.User{ExternalID: "0001f1f460b1ace7", Email: odd, Deleted: true})
	found, err := client.LookupEmail(t.Context(), odd)
	if err != nil || len(found) != 1 || found[0].ID != id || found[0].OurID != uuid.Nil || found[0].Email != odd {
		t.Errorf("found %+v, %v; want the one that was not deleted", found, err)
	}
}

func TestReadsAndDeletesAreRepeated(t *testing.T) {
	t.Parallel()
	for _, kind := range []flaky.Kind{flaky.StatusBefore, flaky.LostAnswer, flaky.Reset} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			tenant := bitest.Start(t, bitest.Config{})
			client, user := newClient(t, configOf(tenant, beyondidentity.V2)), newUser()
			tenant.Inject(flaky.Fault{Path: "/v2/oauth2/token", Kind: kind})
			if _, err := client.Create(t.Context(), user); err != nil {
				t.Fatal(err)
			}
			for _, method := range []string{http.MethodGet, http.MethodDelete} {
				tenant.Inject(flaky.Fault{Method: method, Kind: kind})
			}
			if err := client.Delete(t.Context(), user.ID); err != nil || len(tenant.Users()) != 0 {
				t.Errorf("%v, and there are %v", err, tenant.Users())
			}
		})
	}
}

func TestErrorsAreClassified(t *testing.T) {
	t.Parallel()
	create := func(c *beyondidentity.Client, t *testing.T) error {
		_, err := c.Create(t.Context(), newUser())
		return err
	}
	lookup := func(c *beyondidentity.Client, t *testing.T) error {
		_, err := c.Lookup(t.Context(), uuid.New())
		return err
	}
	remove := func(c *beyondidentity.Client, t *testing.T) error { return c.Delete(t.Context(), uuid.New()) }
	is := func(want error) func(error) bool { return func(err error) bool { return errors.Is(err, want) } }
	operators := func(hint string) func(error) bool {
		return func(err error) bool {
			var m *identity.Misconfigured
			return errors.As(err, &m) && strings.Contains(m.Hint, hint)
		}
	}
	rejected := func(field string) func(error) bool {
		return func(err error) bool {
			var r *identity.Rejected
			return errors.As(err, &r) && r.Field == field && r.Code != "" && !r.Message.IsZero()
		}
	}
	violation := func(field string) string {
		return `{"code":"bad_request","message":"invalid parameters","details":[{"type":"FieldViolations","field_violations":[{"field":"` + field + `"}]}]}`
	}
	for name, c := range map[string]struct {
		do     func(*beyondidentity.Client, *testing.T) error
		status int
		body   string
		want   func(error) bool
	}{
		"a conflict":                    {create, 409, `{"code":"conflict","message":"user already exists"}`, is(identity.ErrExists)},
		"a conflict by words":           {create, 400, `{"error":"User already exists: ada.canary@lincoln.example"}`, is(identity.ErrExists)},
		"a proxy's conflict":            {create, 409, `<html>`, operators("Version")},
		"another user's answer":         {create, 200, `{"user":{"internal_id":"1","external_id":"2"}}`, identity.OutcomeUnknown},
		"an answer without a user":      {create, 200, `{"error":"canary"}`, identity.OutcomeUnknown},
		"a gateway that timed out":      {create, 504, `<html>`, identity.OutcomeUnknown},
		"an invalid e-mail":             {create, 400, violation("user.email_address"), rejected("email")},
		"version 1's name of the field": {create, 400, violation("email"), rejected("email")},
		"a name":                        {create, 400, violation("user.display_name"), rejected("name")},
		"another field":                 {create, 400, violation("user.shoe_size"), operators("Version")},
		"a missing right":               {create, 403, `{"code":"forbidden","message":"token-canary"}`, operators("users:create")},
		"a right to read":               {lookup, 403, `{"code":"forbidden"}`, operators("users:read")},
		"a token of version 1 alone":    {lookup, 401, `{"code":"unauthorized"}`, operators("ClientID")},
		"a refused token":               {lookup, 401, `{"code":"unauthorized"}`, operators("APIToken")},
		"another address":               {lookup, 404, `<html>`, operators("BaseURL")},
		"a redirection":                 {lookup, 302, ``, operators("BaseURL")},
		"a list that cannot be read":    {lookup, 200, `{"users":[]}`, identity.Temporary},
		"a total without its users":     {remove, 200, `{"total_size":1,"users":[]}`, identity.Temporary},
		"an incomplete list":            {remove, 500, `{"code":"internal_server_error"}`, identity.Temporary},
		"an empty list":                 {lookup, 200, `{"total_size":0,"users":[]}`, is(identity.ErrNotFound)},
		"an empty list before a delete": {remove, 200, `{"total_size":0,"users":null}`, func(err error) bool { return err == nil }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.body)
			}))
			t.Cleanup(server.Close)
			err := c.do(newClient(t, beyondidentity.Config{BaseURL: server.URL, APIToken: "token-canary"}), t)
			if !c.want(err) {
				t.Errorf("error is %T: %v", errors.Unwrap(err), err)
			}
			if printed := fmt.Sprintf("%v %+v %#v", err, err, err); strings.Contains(printed, "canary") {
				t.Errorf("an error shows a secret or an e-mail: %s", printed)
			}
		})
	}
}

func TestRefusedCredentialsNameTheSetting(t *testing.T) {
	t.Parallel()
	tenant := bitest.Start(t, bitest.Config{})
	cfg := configOf(tenant, beyondidentity.V2)
	cfg.ClientSecret = "wrong-canary"
	err := newClient(t, cfg).Warm(t.Context())
	var m *identity.Misconfigured
	if !errors.As(err, &m) || !strings.Contains(m.Hint, "ClientSecret") || strings.Contains(err.Error(), "canary") {
		t.Errorf("error is %v", err)
	}
}

func TestLogsHoldNoSecrets(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	tenant := bitest.Start(t, bitest.Config{APIToken: "token-canary"})
	cfg := configOf(tenant, beyondidentity.V1)
	cfg.Logger = slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	client, user := newClient(t, cfg), newUser()
	if _, err := client.Create(t.Context(), user); err != nil {
		t.Fatal(err)
	}
	if _, err := client.LookupEmail(t.Context(), user.Email); err != nil {
		t.Fatal(err)
	}
	var line struct{ Route string }
	if err := json.NewDecoder(bytes.NewReader(out.Bytes())).Decode(&line); err != nil || line.Route != "/v1/manage/users" {
		t.Errorf("the first line is %+v, %v", line, err)
	}
	if strings.Contains(out.String(), "canary") {
		t.Errorf("the log shows a secret or an e-mail:\n%s", &out)
	}
}

func TestNewChecksItsConfig(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		cfg  beyondidentity.Config
		want string // what the error contains; empty for none
	}{
		"a token":                           {beyondidentity.Config{APIToken: "t"}, ""},
		"a client":                          {beyondidentity.Config{ClientID: "id", ClientSecret: "s"}, ""},
		"a token for version 2":             {beyondidentity.Config{APIToken: "t", Version: beyondidentity.V2}, ""},
		"nothing":                           {beyondidentity.Config{}, "APIToken"},
		"both":                              {beyondidentity.Config{APIToken: "t", ClientID: "id", ClientSecret: "s"}, "either"},
		"a token, and an incomplete client": {beyondidentity.Config{APIToken: "t", ClientID: "id"}, "either"},
		"half a client":                     {beyondidentity.Config{ClientID: "id"}, "ClientSecret"},
		"another version":                   {beyondidentity.Config{APIToken: "t", Version: "v3"}, `"v3"`},
		"an address without host":           {beyondidentity.Config{APIToken: "t", BaseURL: "api.byndid.com"}, "BaseURL"},
		"a negative wait":                   {beyondidentity.Config{APIToken: "t", MaxWait: -1}, "negative"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := beyondidentity.New(c.cfg)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, want one of %q", err, c.want)
			}
		})
	}
}
