package auth0test_test

import (
	"encoding/json"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"homeroom/auth0/auth0test"
)

// recording is a conversation of Auth0's Go SDK with the real service.
type recording struct {
	Interactions []struct {
		Request struct {
			Body, URL, Method string
			Headers           map[string][]string
		}
		Response struct {
			Body    string
			Headers map[string][]string
			Code    int
		}
	}
}

// TestRecordings sends the requests that were recorded with the real service, and compares the answers member by
// member.
func TestRecordings(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/recordings/*.yaml")
	if err != nil || len(files) != 16 {
		t.Fatalf("%d recordings, %v; want 16", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			t.Parallel()
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var rec recording
			if err := yaml.Unmarshal(raw, &rec); err != nil {
				t.Fatal(err)
			}
			replay(t, rec)
		})
	}
}

func replay(t *testing.T, rec recording) {
	t.Helper()
	cfg := auth0test.Config{
		LoginURL: "https://mycompany.org/login",
		// The recorded tenant's database had usernames, which a new tenant's does not have.
		Connections: []auth0test.Connection{{Name: auth0test.DefaultConnection, RequiresUsername: true}},
	}
	tn := setup(t, cfg)
	ids := []string{recordedURL, tn.URL()} // recorded ids and their ids here, alternating
	for i, x := range rec.Interactions {
		u, err := url.Parse(x.Request.URL)
		if err != nil {
			t.Fatal(err)
		}
		ours := strings.NewReplacer(ids...)
		if strings.HasPrefix(u.Path, "/api/v2/clients") {
			continue // the simulator has this in its configuration
		}
		got, err := tn.do(tn.request(x.Request.Method, ours.Replace(u.RequestURI()), ours.Replace(x.Request.Body)))
		if err != nil {
			t.Fatal(err)
		}
		if got.Status != x.Response.Code {
			t.Fatalf("%d: %s %s: status %d, recorded %d: %s", i, x.Request.Method, u.Path, got.Status, x.Response.Code, got.Raw)
		}
		if want := x.Response.Headers["Content-Type"]; !slices.Equal(got.Header["Content-Type"], want) {
			t.Errorf("%d: Content-Type %q, recorded %q", i, got.Header["Content-Type"], want)
		}
		if x.Request.Method == "POST" {
			ids = append(ids, pair(t, x.Response.Body, got.Raw)...)
		}
		if u.Path == "/api/v2/connections" { // its answer has many options that the simulator does not have
			compareMembers(t, x.Request.Body, got.Body)
			continue
		}
		compareJSON(t, i, strings.NewReplacer(ids...).Replace(x.Response.Body), got.Raw)
	}
	if len(tn.Users()) != 0 || len(tn.Organizations()) != 0 {
		t.Error("users or organizations still exist, although the conversation deletes them")
	}
}

// recordedURL replaces the tenant's address in the recorded tickets.
const recordedURL = "https://go-auth0-dev.eu.auth0.com.eu.auth0.com"

// id is an id in Auth0's format, after a prefix for its kind.
var id = regexp.MustCompile(`^(auth0\|[0-9a-f]{24}|(org|rol|con|job|uinv)_[A-Za-z0-9]{16})$`)

// pair returns the id in an answer, as recorded and here.
func pair(t *testing.T, recorded, got string) []string {
	t.Helper()
	read := func(raw string) string {
		var shown struct {
			ID     string `json:"id"`
			UserID string `json:"user_id"`
		}
		if raw == "" {
			return ""
		}
		if err := json.Unmarshal([]byte(raw), &shown); err != nil {
			t.Fatal(err)
		}
		return shown.UserID + shown.ID
	}
	was, is := read(recorded), read(got)
	if was == "" && is == "" {
		return nil
	}
	if !id.MatchString(was) || !id.MatchString(is) || was[:3] != is[:3] {
		t.Fatalf("the id %q, recorded as %q", is, was)
	}
	return []string{strings.TrimPrefix(was, "auth0|"), strings.TrimPrefix(is, "auth0|")}
}

// compareMembers checks that the answer contains what was sent.
func compareMembers(t *testing.T, sent string, shown map[string]any) {
	t.Helper()
	var members map[string]any
	if err := json.Unmarshal([]byte(sent), &members); err != nil {
		t.Fatal(err)
	}
	for name, want := range members {
		if !reflect.DeepEqual(shown[name], want) {
			t.Errorf("%s is shown as %v, not %v", name, shown[name], want)
		}
	}
}

var (
	timestamp = regexp.MustCompile(`"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"`)
	ticketID  = regexp.MustCompile(`(ticket=|invitation=|"ticket_id":")[A-Za-z0-9]{32}\b`)
)

// compareJSON compares all members; of times and of tickets only the format.
func compareJSON(t *testing.T, i int, recorded, got string) {
	t.Helper()
	decode := func(raw string) any {
		if raw == "" {
			return nil
		}
		var v any
		raw = ticketID.ReplaceAllString(timestamp.ReplaceAllString(raw, `"time"`), "${1}ticket")
		if err := json.Unmarshal([]byte(raw), &v); err != nil {
			t.Fatal(err)
		}
		return v
	}
	want, have := decode(recorded), decode(got)
	if reflect.DeepEqual(want, have) {
		return
	}
	w, okW := want.(map[string]any)
	h, okH := have.(map[string]any)
	if okW && okH {
		for _, name := range slices.Sorted(maps.Keys(w)) {
			if !reflect.DeepEqual(w[name], h[name]) {
				t.Errorf("%d: %s is %v, recorded %v", i, name, h[name], w[name])
			}
		}
	}
	t.Errorf("%d: answered %s\nrecorded %s", i, got, recorded)
}
