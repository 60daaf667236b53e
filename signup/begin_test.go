package signup_test

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"homeroom/catalog"
	"homeroom/identity"
	"homeroom/signup"
	"homeroom/tenant"
)

func TestBegin(t *testing.T) {
	t.Parallel()
	for name, spares := range map[string]int{"with a spare": 1, "without a spare": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, spares)
			req := request()
			result := b.begin(t, req)
			b.usable(t, result.School.Database)
			user, ok := b.auth0.User(result.User.IdentityID)
			if !ok {
				t.Fatal("no user at the provider")
			}
			want := map[string]any{
				"tenant_id": result.School.ID.String(), "database": result.School.Database,
				"school_name": "Lincoln High", "signup_id": result.SignupID.String(),
			}
			if !reflect.DeepEqual(user.AppMetadata, want) {
				t.Errorf("app metadata %v, want %v", user.AppMetadata, want)
			}
			view, err := b.service.View(t.Context(), result.SignupID)
			if err != nil || view.Status != catalog.SignupReady || !reflect.DeepEqual(view.User, &result.User) || !view.Final() {
				t.Errorf("view %+v, %v", view, err)
			}
			var steps []string
			for _, step := range view.Steps {
				steps = append(steps, string(step.Name)+" "+string(step.Status))
			}
			wantSteps := "reserve done, identity done, finish done"
			if spares == 0 {
				wantSteps = "reserve done, identity done, provision done, finish done"
			}
			if got := strings.Join(steps, ", "); got != wantSteps {
				t.Errorf("steps %q, want %q", got, wantSteps)
			}
		})
	}
}

// checkedServers records when a claimed spare was checked.
type checkedServers struct {
	signup.Servers
	at *time.Time
}

// Get implements signup.Servers.
func (c checkedServers) Get(name string) (signup.Server, error) {
	server, err := c.Servers.Get(name)
	return checkedServer{server, c.at}, err
}

type checkedServer struct {
	signup.Server
	at *time.Time
}

// CheckSpare implements signup.Server.
func (c checkedServer) CheckSpare(ctx context.Context, id tenant.ID, holder string) error {
	err := c.Server.CheckSpare(ctx, id, holder)
	*c.at = time.Now().UTC()
	return err
}

func TestTheIdentityStepBeginsAfterTheSpareIsChecked(t *testing.T) {
	t.Parallel()
	b := setup(t, 1)
	var checked time.Time
	b.service = b.newService(t, func(c *signup.Config) { c.Servers = checkedServers{c.Servers, &checked} })
	result := b.begin(t, request())
	view, err := b.service.View(t.Context(), result.SignupID)
	if err != nil || len(view.Steps) < 2 {
		t.Fatal(view, err)
	}
	if step := view.Steps[1]; step.Name != "identity" || checked.IsZero() || step.StartedAt.Before(checked) {
		t.Errorf("step %+v, and the spare was checked at %s", step, checked)
	}
}

func TestBeginAgain(t *testing.T) {
	t.Parallel()
	b := setup(t, 2)
	req := request()
	first := b.begin(t, req)

	t.Run("with the same key answers the same", func(t *testing.T) {
		again := b.begin(t, req)
		one, _ := json.Marshal(first)
		two, _ := json.Marshal(again)
		if string(one) != string(two) {
			t.Errorf("first %s\nthen  %s", one, two)
		}
	})
	t.Run("with the same key and another body is refused", func(t *testing.T) {
		other := req
		other.SchoolName = "Another"
		if _, err := b.service.Begin(t.Context(), other); !errors.Is(err, signup.ErrKeyReused) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("with another key, or none, finds the e-mail taken", func(t *testing.T) {
		for _, key := range []string{uuid.NewString(), ""} {
			other := req
			other.IdempotencyKey = key
			other.Email = strings.ToUpper(req.Email)
			if _, err := b.service.Begin(t.Context(), other); !errors.Is(err, signup.ErrEmailExists) {
				t.Errorf("key %q: got %v", key, err)
			}
		}
	})
	if n := b.creates(); n != 1 {
		t.Errorf("%d creates, want 1", n)
	}
	if n := b.number(t, "select count(*) from tenants where state = 'spare'"); n != 1 {
		t.Errorf("%d spares are left, want 1", n)
	}
}

func TestBeginManyTimesAtOnceWithOneKeyMakesOneSchool(t *testing.T) {
	t.Parallel()
	b := setup(t, 3)
	services := []*signup.Service{b.service, b.newService(t), b.newService(t)}
	req := request()
	var mu sync.Mutex
	results := map[string]int{}
	var group sync.WaitGroup
	for n := range 60 {
		group.Go(func() {
			outcome, err := services[n%3].Begin(t.Context(), req)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case errors.Is(err, signup.ErrInProgress):
			case err != nil || outcome.Result == nil:
				t.Errorf("%+v, %v", outcome, err)
			default:
				results[outcome.Result.School.Database]++
			}
		})
	}
	group.Wait()
	if len(results) != 1 || b.creates() != 1 {
		t.Errorf("schools %v, %d creates; want one of each", results, b.creates())
	}
	if n := b.number(t, "select count(*) from tenants where state = 'spare'"); n != 2 {
		t.Errorf("%d spares are left, want 2", n)
	}
}

func TestEverySchoolGetsItsOwnDatabaseWhateverItsName(t *testing.T) {
	t.Parallel()
	b := setup(t, 0)
	names := []string{
		"Lincoln High", "Lincoln High", "École 42", "E\u0301cole 42", "東京小学校", "a'; DROP DATABASE x;--", strings.Repeat("é", 100),
		"مدرسة النور", "template1", "postgres", "--", uuid.NewString(),
	}
	databases, slugs := map[string]bool{}, map[string]bool{}
	for _, name := range names {
		req := request()
		req.SchoolName = name
		result := b.begin(t, req)
		b.usable(t, result.School.Database)
		databases[result.School.Database], slugs[result.School.Slug] = true, true
	}
	if len(databases) != len(names) || len(slugs) != len(names) {
		t.Errorf("%d databases and %d slugs for %d schools: %v", len(databases), len(slugs), len(names), slugs)
	}
}

func TestARefusalLeavesNothing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spares  int
		prepare func(t *testing.T, b *bundle, req *signup.Request)
		check   func(err error) bool
	}{
		"a weak password": {1, func(_ *testing.T, _ *bundle, req *signup.Request) { req.Password = "alllowercase" }, rejected("password")},
		"a weak password without a spare": {0, func(_ *testing.T, _ *bundle, req *signup.Request) {
			req.Password = "alllowercase"
		}, rejected("password")},
		"an e-mail that the provider has and we do not": {1, func(t *testing.T, b *bundle, req *signup.Request) {
			other := b.newService(t)
			if _, err := other.Begin(t.Context(), *req); err != nil {
				t.Fatal(err)
			}
			// The catalog loses it, as after a restore from a backup.
			b.exec(t, "update users set state = 'deleted' where email = $1", req.Email)
			b.exec(t, "update signups set idempotency_key = null")
			if err := b.service.RefillSpares(t.Context()); err != nil {
				t.Fatal(err)
			}
		}, func(err error) bool { return errors.Is(err, signup.ErrEmailExists) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, c.spares)
			req := request()
			c.prepare(t, b, &req)
			users := len(b.auth0.Users())
			if _, err := b.service.Begin(t.Context(), req); !c.check(err) {
				t.Fatalf("got %v", err)
			}
			if n := b.number(t, "select count(*) from tenants where state = 'spare'"); n != c.spares {
				t.Errorf("%d spares, want %d", n, c.spares)
			}
			if n := b.number(t, "select count(*) from tenants where state in ('reserved', 'building')"); n != 0 {
				t.Errorf("%d tenants are held", n)
			}
			if n := b.number(t, "select count(*) from users where state = 'pending'"); n != 0 {
				t.Errorf("%d pending users", n)
			}
			if n := len(b.auth0.Users()); n != users {
				t.Errorf("%d users at the provider, want %d", n, users)
			}
		})
	}
	t.Run("and the same key goes on with a better password", func(t *testing.T) {
		t.Parallel()
		b := setup(t, 1)
		req := request()
		req.Password = "alllowercase"
		if _, err := b.service.Begin(t.Context(), req); !rejected("password")(err) {
			t.Fatalf("got %v", err)
		}
		req.Password = password
		b.usable(t, b.begin(t, req).School.Database)
	})
}

func rejected(field string) func(error) bool {
	return func(err error) bool {
		var rejected *identity.Rejected
		return errors.As(err, &rejected) && rejected.Field == field
	}
}

func TestNoPasswordIsKeptAnywhere(t *testing.T) {
	t.Parallel()
	b := setup(t, 1)
	for range 2 { // with a spare, and without one
		b.begin(t, request())
	}
	weak := request()
	weak.Password = "canary-pass"
	_, err := b.service.Begin(t.Context(), weak)
	if err == nil || strings.Contains(strings.ToLower(err.Error()), "canary-pass") {
		t.Errorf("error %v", err)
	}
	if strings.Contains(strings.ToLower(b.logs.String()), "canary-pass") {
		t.Errorf("logged: %s", b.logs.String())
	}
	rows, err := b.catalog.Pool().Query(t.Context(), `
		select format('%I.%I', table_schema, table_name)
		from information_schema.tables
		where table_schema in ('public', 'river') and table_type = 'BASE TABLE'`)
	if err != nil {
		t.Fatal(err)
	}
	var tables []string
	for rows.Next() {
		var table string
		if err := rows.Scan(&table); err != nil {
			t.Fatal(err)
		}
		tables = append(tables, table)
	}
	if len(tables) < 10 {
		t.Fatalf("only tables %v", tables)
	}
	for _, table := range tables {
		if n := b.number(t, "select count(*) from "+table+" as row where row::text ilike '%canary-pass%'"); n != 0 {
			t.Errorf("%d rows of %s hold the password", n, table)
		}
	}
}

func TestARepetitionNeedsNoRoom(t *testing.T) {
	t.Parallel()
	b := setup(t, 1)
	req := request()
	first := b.begin(t, req)
	b.exec(t, "update servers set capacity = 1")
	var unavailable *signup.Unavailable
	if _, err := b.service.Begin(t.Context(), request()); !errors.As(err, &unavailable) || unavailable.What != signup.Capacity {
		t.Fatalf("another key got %v", err)
	}
	if again := b.begin(t, req); again.SignupID != first.SignupID {
		t.Errorf("the same key got %s, want %s", again.SignupID, first.SignupID)
	}
}
