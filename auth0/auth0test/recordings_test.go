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

// TestRecordings sends what was once sent to the real service, and compares the answers member by member.
func TestRecordings(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/recordings/*.yaml")
	if err != nil || len(files) != 5 {
		t.Fatalf("%d recordings, %v; want 5", len(files), err)
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
	// The recorded tenant's database had usernames, which a fresh tenant's has not.
	tn := setup(t, auth0test.Config{Connections: []auth0test.Connection{
		{Name: auth0test.DefaultConnection, RequiresUsername: true},
	}})
	ids := strings.NewReplacer() // recorded ids to ours
	for i, x := range rec.Interactions {
		u, err := url.Parse(x.Request.URL)
		if err != nil {
			t.Fatal(err)
		}
		req := tn.request(x.Request.Method, ids.Replace(u.RequestURI()), x.Request.Body)
		got, err := tn.do(req)
		if err != nil {
			t.Fatal(err)
		}
		if got.Status != x.Response.Code {
			t.Fatalf("%d: %s %s: status %d, recorded %d: %s", i, x.Request.Method, u.Path, got.Status, x.Response.Code, got.Raw)
		}
		if want := x.Response.Headers["Content-Type"]; !slices.Equal(got.Header["Content-Type"], want) {
			t.Errorf("%d: Content-Type %q, recorded %q", i, got.Header["Content-Type"], want)
		}
		if i == 0 {
			ids = idReplacer(t, x.Response.Body, got.Raw)
		}
		compareJSON(t, i, ids.Replace(x.Response.Body), got.Raw)
	}
	if len(tn.Users()) != 0 {
		t.Error("users are left, although the conversation deletes them")
	}
}

func idReplacer(t *testing.T, recorded, got string) *strings.Replacer {
	t.Helper()
	id := func(raw string) string {
		var user struct {
			ID string `json:"user_id"`
		}
		if err := json.Unmarshal([]byte(raw), &user); err != nil {
			t.Fatal(err)
		}
		if !regexp.MustCompile(`^auth0\|[0-9a-f]{24}$`).MatchString(user.ID) {
			t.Errorf("user_id %q", user.ID)
		}
		return strings.TrimPrefix(user.ID, "auth0|")
	}
	return strings.NewReplacer(id(recorded), id(got))
}

var timestamp = regexp.MustCompile(`"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)"`)

// compareJSON compares all members; of times, only that they are written alike.
func compareJSON(t *testing.T, i int, recorded, got string) {
	t.Helper()
	decode := func(raw string) any {
		if raw == "" {
			return nil
		}
		var v any
		if err := json.Unmarshal([]byte(timestamp.ReplaceAllString(raw, `"time"`)), &v); err != nil {
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
