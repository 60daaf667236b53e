package auth0_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"homeroom/auth0"
	"homeroom/auth0/auth0test"
	"homeroom/identity"
)

// someUsers returns n users of ours.
func someUsers(n int) []identity.NewUser {
	users := make([]identity.NewUser, n)
	for i := range users {
		users[i] = newUser()
		users[i].Email = fmt.Sprintf("u%d@lincoln.example", i)
		users[i].Metadata.SignupID = uuid.NewString()
	}
	return users
}

// list returns how often each user was listed, by our id.
func list(t *testing.T, client *auth0.Client) (map[uuid.UUID]int, error) {
	t.Helper()
	shown := map[uuid.UUID]int{}
	err := client.List(t.Context(), func(u identity.User) error {
		shown[u.OurID]++
		return nil
	})
	return shown, err
}

func searches(tenant *auth0test.Server) int {
	return tenant.CountCalls(http.MethodGet, "/api/v2/users")
}

func TestListGoesBeyondTheSearchLimit(t *testing.T) {
	t.Parallel()
	tenant := auth0test.Start(t, auth0test.Config{Connections: []auth0test.Connection{
		{Name: `the "schools" \ database`}, {Name: "elsewhere"},
	}})
	users := someUsers(2345)
	seed(t, tenant, users...)
	foreign := func(n int, connection string, metadata map[string]any) auth0test.User {
		id := fmt.Sprintf("foreign%d", n)
		return auth0test.User{
			ID: "auth0|" + id, Email: id + "@lincoln.example", AppMetadata: metadata,
			Identities: []auth0test.Identity{{Connection: connection, UserID: id, Provider: "auth0"}},
		}
	}
	ours := tenant.Config().Connections[0].Name
	if err := tenant.Seed(
		foreign(1, "elsewhere", map[string]any{"signup_id": "x"}), foreign(2, ours, nil), foreign(3, ours, map[string]any{"a": "b"}),
		foreign(4, ours, map[string]any{"signup_id": 7.0}), foreign(5, ours, map[string]any{"signup_id": ""}),
	); err != nil {
		t.Fatal(err)
	}
	cfg := configOf(tenant)
	cfg.Connection = ours
	shown, err := list(t, newClient(t, cfg))
	if err != nil {
		t.Fatal(err)
	}
	for _, user := range users {
		if shown[user.ID] != 1 {
			t.Fatalf("%s is shown %d times, want once", user.ID, shown[user.ID])
		}
	}
	if len(shown) != len(users) {
		t.Errorf("%d users are shown, want %d", len(shown), len(users))
	}
	if n := searches(tenant); n > 25 {
		t.Errorf("it took %d searches, want no more than one for each hundred and the overlap's", n)
	}
}

func TestListOfManyMadeAtOnce(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		crowd    int
		whole    bool
		searches int
	}{{100, true, 4}, {950, true, 13}, {1001, false, 11}} {
		t.Run(fmt.Sprint(c.crowd), func(t *testing.T) {
			t.Parallel()
			tenant := auth0test.Start(t, auth0test.Config{})
			seed(t, tenant, someUsers(50)...)
			for i := range c.crowd + 50 {
				at := seededAt.Add(time.Minute)
				if i >= c.crowd {
					at = at.Add(time.Duration(i) * time.Millisecond)
				}
				if err := tenant.Seed(auth0test.User{
					ID: "auth0|" + uuid.NewString(), Email: fmt.Sprintf("c%d@lincoln.example", i),
					CreatedAt: auth0test.Time{Time: at}, AppMetadata: map[string]any{"signup_id": uuid.NewString()},
				}); err != nil {
					t.Fatal(err)
				}
			}
			shown, err := list(t, newClient(t, configOf(tenant)))
			if c.whole && (err != nil || len(shown) != c.crowd+100) {
				t.Errorf("%d users are shown, with error %v; want %d", len(shown), err, c.crowd+100)
			}
			if !c.whole && (err == nil || !strings.Contains(err.Error(), "same millisecond")) {
				t.Errorf("error is %v, want one that says why the list is incomplete", err)
			}
			if n := searches(tenant); n > c.searches {
				t.Errorf("it took %d searches, want %d at most", n, c.searches)
			}
		})
	}
}

func TestListAsksForWhatItReads(t *testing.T) {
	t.Parallel()
	tenant := auth0test.Start(t, auth0test.Config{})
	seed(t, tenant, someUsers(101)...)
	client, recorded := newRecordingClient(t, tenant)
	if _, err := list(t, client); err != nil {
		t.Fatal(err)
	}
	if len(recorded.requests) != 2 {
		t.Fatalf("%d searches, want two", len(recorded.requests))
	}
	q := `_exists_:app_metadata.signup_id AND identities.connection:"Username-Password-Authentication"`
	for i, more := range []string{"", " AND created_at:[2026-03-01T23:59:59.033Z TO *]"} {
		want := url.Values{
			"search_engine": {"v3"}, "q": {q + more}, "sort": {"created_at:1"}, "page": {"0"}, "per_page": {"100"},
			"include_totals": {"true"}, "include_fields": {"true"},
			"fields": {"user_id,email,email_verified,blocked,created_at,app_metadata"},
		}
		if got := recorded.requests[i].URL.Query(); !maps.EqualFunc(got, want, slices.Equal) {
			t.Errorf("search %d asked for %v\nwant %v", i, got, want)
		}
	}
}

func TestListNeedsItsScope(t *testing.T) {
	t.Parallel()
	tenant := auth0test.Start(t, auth0test.Config{Scopes: []string{"create:users", "delete:users"}})
	_, err := list(t, newClient(t, configOf(tenant)))
	checkError(t, err, misconfigured, "read:users")
}

// The first page's answer, which the cases change.
const firstPage = `{"start":0,"limit":100,"length":1,"total":1,"users":[` +
	`{"user_id":"auth0|a","created_at":"2026-03-01T00:00:00.000Z","app_metadata":{"signup_id":"x"}}]}`

func TestListRefusesInvalidAnswers(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"a page of a proxy's":        `<html>Please log in</html>`,
		"an array":                   `[]`,
		"an empty object":            `{}`,
		"no users":                   `{"start":0,"limit":100,"length":0,"total":0}`,
		"null users":                 strings.Replace(firstPage, `[{`, `null,"x":[{`, 1),
		"another page":               strings.Replace(firstPage, `"start":0`, `"start":100`, 1),
		"a smaller page":             strings.Replace(firstPage, `"limit":100`, `"limit":50`, 1),
		"fewer users than the total": strings.Replace(firstPage, `"length":1`, `"length":2`, 1),
		"a user without id":          strings.Replace(firstPage, `"auth0|a"`, `""`, 1),
		"a user without a time":      strings.Replace(firstPage, `"2026-03-01T00:00:00.000Z"`, `{}`, 1),
		"users out of order":         strings.Replace(strings.Replace(firstPage, `"length":1`, `"length":2`, 1), `}]}`, `},{"user_id":"auth0|b","created_at":"2026-02-01T00:00:00.000Z"}]}`, 1),
		"half of it":                 firstPage[:len(firstPage)/2],
		"a success without body":     ``,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if body == firstPage {
				t.Fatal("the case does not differ from the valid answer")
			}
			tenant := &fakeTenant{api: func(w http.ResponseWriter, _ *http.Request) { respond(w, 200, body) }}
			shown, err := list(t, tenant.serve(t))
			checkError(t, err, temporary)
			if len(shown) > 0 {
				t.Errorf("%d users are shown", len(shown))
			}
		})
	}
	tenant := &fakeTenant{api: func(w http.ResponseWriter, _ *http.Request) { respond(w, 200, firstPage) }}
	if shown, err := list(t, tenant.serve(t)); err != nil || shown[uuid.Nil] != 1 {
		t.Errorf("the valid answer: %v, %v", shown, err)
	}
}

// A user must not get an our-id with which Delete would remove another user.
func TestListHasOurIDOnlyWhereItIsSet(t *testing.T) {
	t.Parallel()
	id := uuid.New()
	for userID, want := range map[string]uuid.UUID{
		"auth0|" + id.String():                  id,
		"auth0|" + strings.ToUpper(id.String()): uuid.Nil,
		"auth0|{" + id.String() + "}":           uuid.Nil,
		"auth0|urn:uuid:" + id.String():         uuid.Nil,
		"google-oauth2|" + id.String():          uuid.Nil,
		id.String():                             uuid.Nil,
		"auth0|66b2f0c4a1d2e3f4a5b6c7d8":        uuid.Nil,
	} {
		body := strings.Replace(firstPage, "auth0|a", userID, 1)
		tenant := &fakeTenant{api: func(w http.ResponseWriter, _ *http.Request) { respond(w, 200, body) }}
		if shown, err := list(t, tenant.serve(t)); err != nil || len(shown) != 1 || shown[want] != 1 {
			t.Errorf("%s is listed as %v, with error %v; want %s", userID, shown, err, want)
		}
	}
}

// fullPages answers every search with a full page of users created later than the previous ones, until there were
// enough.
func fullPages(pages int, refuse func(page int) bool) *fakeTenant {
	page, refused := 0, false
	return &fakeTenant{api: func(w http.ResponseWriter, _ *http.Request) {
		if !refused && refuse(page) {
			refused = true
			w.Header().Set("Retry-After", "3")
			respond(w, 429, `{"statusCode":429,"message":"Global limit has been reached","errorCode":"too_many_requests"}`)
			return
		}
		refused = false
		var users []string
		for i := range 100 {
			users = append(users, fmt.Sprintf(`{"user_id":"auth0|%d-%d","created_at":%q,"app_metadata":{"signup_id":"x"}}`,
				page, i, seededAt.Add(time.Duration(page*100+i)*time.Second).Format(time.RFC3339)))
		}
		if page++; page > pages {
			users = nil
		}
		respond(w, 200, fmt.Sprintf(`{"start":0,"limit":100,"length":%d,"users":[%s]}`, len(users), strings.Join(users, ",")))
	}}
}

func TestListWaitsForRefusals(t *testing.T) {
	tenant := fullPages(3, func(int) bool { return true })
	tenant.inBubble(t, func(t *testing.T, client *auth0.Client) {
		start, shown := time.Now(), 0
		err := client.List(t.Context(), func(identity.User) error { shown++; return nil })
		if took := time.Since(start); err != nil || shown != 300 || took != 12*time.Second {
			t.Errorf("%d users, %v, after %s; want 300 after the 3 s of each refusal", shown, err, took)
		}
	})
}

func TestListReportsALongRefusal(t *testing.T) {
	tenant := &fakeTenant{api: func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "30")
		respond(w, 429, ``)
	}}
	tenant.inBubble(t, func(t *testing.T, client *auth0.Client) {
		err := client.List(t.Context(), func(identity.User) error { return nil })
		checkError(t, err, throttled)
		if after := identity.RetryAfter(err); after != 30*time.Second {
			t.Errorf("the wait is %s, want 30 s", after)
		}
		if n := tenant.count("GET /api/v2/users"); n != 1 {
			t.Errorf("%d requests, want one", n)
		}
	})
}

// Sign-ups share the tenant's rate limit with a list, and people wait for them.
func TestListUsesHalfOfTheRateLimit(t *testing.T) {
	tenant := newMetered(2, 2)
	metered, pages := tenant.api, fullPages(1000, func(int) bool { return false }).api
	tenant.api = func(w http.ResponseWriter, r *http.Request) {
		answer := httptest.NewRecorder()
		metered(answer, r)
		maps.Copy(w.Header(), answer.Header())
		if r.Method == http.MethodGet && answer.Code == http.StatusOK {
			pages(w, r)
			return
		}
		respond(w, answer.Code, answer.Body.String())
	}
	tenant.inBubble(t, func(t *testing.T, client *auth0.Client) {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- client.List(ctx, func(identity.User) error { return nil }) }()
		for range 20 {
			time.Sleep(time.Second)
			if err := client.Delete(t.Context(), uuid.New()); err != nil {
				t.Error(err)
			}
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("the list ended with %v, want it to go on until it was cancelled", err)
		}
		if tenant.refused > 0 {
			t.Errorf("%d calls ran into a 429", tenant.refused)
		}
		if n := tenant.count("GET /api/v2/users"); n < 10 {
			t.Errorf("the list read only %d pages in 20 s", n)
		}
	})
}
