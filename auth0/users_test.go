package auth0_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/uuid"

	"homeroom/auth0"
	"homeroom/auth0/auth0test"
	"homeroom/identity"
	"homeroom/internal/flaky"
)

// recordingTransport records what a client sends to the Management API.
type recordingTransport struct {
	requests []*http.Request
	bodies   [][]byte
	// before, if not nil, is called with each request before it is sent.
	before func(*http.Request)
}

// RoundTrip implements http.RoundTripper.
func (w *recordingTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Path != "/oauth/token" {
		var body []byte
		if r.Body != nil {
			body, _ = io.ReadAll(r.Body)
			r.Body = io.NopCloser(bytes.NewReader(body))
		}
		w.requests, w.bodies = append(w.requests, r), append(w.bodies, body)
	}
	if w.before != nil {
		w.before(r)
	}
	return http.DefaultTransport.RoundTrip(r)
}

func newRecordingClient(t *testing.T, tenant *auth0test.Server, change ...func(*auth0.Config)) (*auth0.Client, *recordingTransport) {
	t.Helper()
	recorded := &recordingTransport{}
	cfg := configOf(tenant)
	cfg.Transport = recorded
	for _, f := range change {
		f(&cfg)
	}
	return newClient(t, cfg), recorded
}

// schema is the part of JSON Schema that Auth0 uses for this body.
type schema struct {
	Required             []string `json:"required"`
	AdditionalProperties bool     `json:"additionalProperties"`
	Properties           map[string]struct {
		Type      string `json:"type"`
		MinLength int    `json:"minLength"`
		MaxLength int    `json:"maxLength"`
		Pattern   string `json:"pattern"`
	} `json:"properties"`
}

func TestCreateSendsWhatAuth0sSchemaAllows(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("testdata/create-user-request.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var want schema
	if err := json.Unmarshal(raw, &want); err != nil || want.AdditionalProperties || len(want.Properties) < 10 {
		t.Fatalf("the schema is not as expected: %v", err)
	}
	tenant := auth0test.Start(t, auth0test.Config{})
	client, recorded := newRecordingClient(t, tenant)
	full := newUser()
	full.FamilyName, full.Name = "Lovelace", "Ada <Countess> Lovelace"
	bare := newUser()
	bare.Email, bare.GivenName = "bare@lincoln.example", ""
	for _, user := range []identity.NewUser{full, bare} {
		if _, err := client.Create(context.Background(), user); err != nil {
			t.Fatal(err)
		}
	}
	for i, body := range recorded.bodies {
		var sent map[string]any
		if err := json.Unmarshal(body, &sent); err != nil {
			t.Fatal(err)
		}
		for _, name := range want.Required {
			if sent[name] == nil {
				t.Errorf("body %d has no %s", i, name)
			}
		}
		for name, value := range sent {
			property, ok := want.Properties[name]
			if !ok {
				t.Errorf("body %d has %s, which is unknown to Auth0", i, name)
			}
			text, isText := value.(string)
			if property.Type == "string" && (!isText || utf8.RuneCountInString(text) < property.MinLength ||
				property.MaxLength > 0 && utf8.RuneCountInString(text) > property.MaxLength ||
				!regexp.MustCompile(property.Pattern).MatchString(text)) {
				t.Errorf("body %d has a %s that Auth0 refuses", i, name)
			}
		}
		if _, has := sent["verify_email"]; has {
			t.Errorf("body %d decides on the verification mail, which the tenant must decide", i)
		}
	}
}

func TestCreateMakesTheUserAsAskedFor(t *testing.T) {
	t.Parallel()
	tenant := auth0test.Start(t, auth0test.Config{Connections: []auth0test.Connection{{Name: "schools"}}})
	client, recorded := newRecordingClient(t, tenant, func(c *auth0.Config) { c.Connection = "schools" })
	user := newUser()
	made, err := client.Create(context.Background(), user)
	if err != nil {
		t.Fatal(err)
	}
	stored, ok := tenant.User("auth0|" + user.ID.String())
	if !ok || stored.ID != made.ID || stored.GivenName != "Ada" || stored.Identities[0].Connection != "schools" {
		t.Errorf("the tenant has %+v", stored)
	}
	if !made.CreatedAt.Equal(stored.CreatedAt.Time) {
		t.Errorf("created at %s, want %s", made.CreatedAt, stored.CreatedAt)
	}
	for name, want := range map[string]any{"tenant_id": "t", "database": "d", "school_name": "s", "signup_id": "u"} {
		if stored.AppMetadata[name] != want {
			t.Errorf("app_metadata.%s is %v, want %v", name, stored.AppMetadata[name], want)
		}
	}
	if len(tenant.Mails()) != 1 {
		t.Errorf("%d verification mails, want one", len(tenant.Mails()))
	}
	for name := range recorded.requests[0].Header {
		if strings.Contains(strings.ToLower(name), "idempotency") {
			t.Errorf("the create has the header %s, which lets net/http repeat it", name)
		}
	}
}

func TestPathsAndQueriesAreEscaped(t *testing.T) {
	t.Parallel()
	tenant := auth0test.Start(t, auth0test.Config{})
	client, recorded := newRecordingClient(t, tenant)
	ctx, id := context.Background(), uuid.New()
	_, _ = client.Lookup(ctx, id)
	_ = client.Delete(ctx, id)
	if _, err := client.LookupEmail(ctx, "ADA+a&b@Lincoln.example"); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{
		"GET /api/v2/users/auth0%7C" + id.String(),
		"DELETE /api/v2/users/auth0%7C" + id.String(),
		"GET /api/v2/users-by-email?email=ada%2Ba%26b%40lincoln.example",
	} {
		if got := recorded.requests[i].Method + " " + recorded.requests[i].URL.RequestURI(); got != want {
			t.Errorf("sent %s, want %s", got, want)
		}
	}
}

func TestACustomDomainIsNamed(t *testing.T) {
	t.Parallel()
	tenant := auth0test.Start(t, auth0test.Config{CustomDomainConflict: true})
	_, err := newClient(t, configOf(tenant)).Create(context.Background(), newUser())
	checkError(t, err, misconfigured, "CustomDomain")
	client, _ := newRecordingClient(t, tenant, func(c *auth0.Config) { c.CustomDomain = "login.lincoln.example" })
	if _, err := client.Create(context.Background(), newUser()); err != nil {
		t.Error(err)
	}
}

func TestUnmanagedMetadataIsReadLeniently(t *testing.T) {
	t.Parallel()
	tenant := &fakeTenant{api: func(w http.ResponseWriter, _ *http.Request) {
		respond(w, 200, `[
			{"user_id":"auth0|1","created_at":7,"app_metadata":{"tenant_id":{"a":1},"signup_id":"mine"}},
			{"user_id":"google-oauth2|2","email":"ada@lincoln.example","email_verified":true,"created_at":"2026-11-20T10:00:00.000Z"}]`)
	}}
	users, err := tenant.serve(t).LookupEmail(context.Background(), email)
	if err != nil || len(users) != 2 {
		t.Fatalf("got %+v, %v", users, err)
	}
	if got := users[0]; got.ID != "auth0|1" || got.Metadata != (identity.Metadata{SignupID: "mine"}) || !got.CreatedAt.IsZero() {
		t.Errorf("the first is %+v", got)
	}
	if got := users[1]; !got.EmailVerified || got.CreatedAt.Hour() != 10 {
		t.Errorf("the second is %+v", got)
	}
}

func TestReadsAndDeletesAreRepeated(t *testing.T) {
	t.Parallel()
	for _, kind := range []flaky.Kind{
		flaky.StatusBefore, flaky.LostAnswer, flaky.Reset, flaky.Truncated,
	} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			tenant := auth0test.Start(t, auth0test.Config{})
			client := newClient(t, configOf(tenant))
			user, ctx := newUser(), context.Background()
			tenant.Inject(flaky.Fault{Path: "/oauth/token", Kind: kind})
			if _, err := client.Create(ctx, user); err != nil {
				t.Fatal(err)
			}
			tenant.Inject(flaky.Fault{Method: http.MethodGet, Kind: kind})
			if _, err := client.Lookup(ctx, user.ID); err != nil {
				t.Error(err)
			}
			tenant.Inject(flaky.Fault{Method: http.MethodDelete, Kind: kind})
			if err := client.Delete(ctx, user.ID); err != nil {
				t.Error(err)
			}
			if len(tenant.Users()) != 0 {
				t.Error("the user still exists")
			}
		})
	}
}
