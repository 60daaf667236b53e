package signup_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"homeroom/catalog"
	"homeroom/identity"
	"homeroom/internal/flaky"
	"homeroom/signup"
)

const usersPath = "/api/v2/users"

// TestAnUnknownOutcomeIsResolved loses the provider's answer in every way. The user must be created exactly once.
func TestAnUnknownOutcomeIsResolved(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]flaky.Fault{
		"answer lost after the work":     {Kind: flaky.LostAnswer},
		"answer cut in the middle":       {Kind: flaky.Truncated},
		"503 after the work":             {Kind: flaky.StatusAfter, Status: 503},
		"500 before the work":            {Kind: flaky.StatusBefore, Status: 500},
		"connection reset before it":     {Kind: flaky.Reset},
		"504 before the work, two times": {Kind: flaky.StatusBefore, Status: 504, Times: 2},
		"token expired":                  {Kind: flaky.Unauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, 1)
			fault.Method, fault.Path = "POST", usersPath
			b.auth0.Inject(fault)
			result := b.begin(t, request())
			b.usable(t, result.School.Database)
			if n := len(b.auth0.Users()); n != 1 {
				t.Errorf("%d users, want 1", n)
			}
		})
	}
}

// TestTheProviderIsAway: it is unknown whether the user exists. The caller is asked to retry, and the reconciler finds
// out.
func TestTheProviderIsAway(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		create flaky.Kind
		status catalog.Status
		users  int
	}{
		"after it has made the user":  {flaky.LostAnswer, catalog.SignupReady, 1},
		"before it has made the user": {flaky.StatusBefore, catalog.Expired, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, 1)
			b.auth0.Inject(flaky.Fault{Method: "POST", Path: usersPath, Kind: c.create})
			b.auth0.Inject(flaky.Fault{Path: usersPath, Kind: flaky.StatusBefore, Times: -1})
			req := request()
			_, err := b.service.Begin(t.Context(), req)
			var unavailable *signup.Unavailable
			if !errors.As(err, &unavailable) || unavailable.What != signup.Identity || unavailable.RetryAfter <= 0 {
				t.Fatalf("got %v", err)
			}
			b.auth0.ClearFaults()
			b.exec(t, "update signups set check_at = now() where check_at is not null")
			if err := b.service.ReconcileOnce(t.Context()); err != nil {
				t.Fatal(err)
			}
			if n := b.number(t, "select count(*) from signups where status = $1", c.status); n != 1 {
				t.Errorf("%d sign-ups are %s, want 1", n, c.status)
			}
			if n := len(b.auth0.Users()); n != c.users {
				t.Errorf("%d users, want %d", n, c.users)
			}
			b.usable(t, b.begin(t, req).School.Database) // the same key continues
			if n := len(b.auth0.Users()); n != 1 {
				t.Errorf("%d users in the end, want 1", n)
			}
		})
	}
}

// TestARateLimitLeavesNothing: a refusal by the rate limit created nothing, and says when to retry.
func TestARateLimitLeavesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t, 1)
	b.auth0.Inject(flaky.Fault{Method: "POST", Path: usersPath, Kind: flaky.RateLimited, Times: -1, RetryAfter: time.Minute})
	_, err := b.service.Begin(t.Context(), request())
	var unavailable *signup.Unavailable
	if !errors.As(err, &unavailable) || unavailable.What != signup.Capacity || unavailable.RetryAfter <= 0 {
		t.Fatalf("got %v", err)
	}
	if n := b.number(t, "select count(*) from tenants where state = 'spare'"); n != 1 {
		t.Errorf("%d spares, want 1", n)
	}
	if n := b.number(t, "select count(*) from users"); n != 0 {
		t.Errorf("%d users", n)
	}
}

// died is a provider whose process dies in a step: it never returns, like a killed process.
type died struct {
	identity.Provider
	make bool // whether it creates the user first
	dead chan struct{}
}

func (d died) Create(ctx context.Context, user identity.NewUser) (identity.User, error) {
	if d.make {
		if _, err := d.Provider.Create(ctx, user); err != nil {
			return identity.User{}, err
		}
	}
	close(d.dead)
	select {}
}

// TestADeadWorkersSignupIsResumed stops a worker for ever in the identity step, and lets each possible successor
// resume.
func TestADeadWorkersSignupIsResumed(t *testing.T) {
	t.Parallel()
	for name, spares := range map[string]int{"a spare": 1, "no spare": 0} {
		for when, made := range map[string]bool{"before": false, "after": true} {
			for inviter, follow := range map[string]func(t *testing.T, b *bundle, req signup.Request){
				"the reconciler": func(t *testing.T, b *bundle, _ signup.Request) {
					if err := b.service.ReconcileOnce(t.Context()); err != nil {
						t.Fatal(err)
					}
				},
				"the same key": func(t *testing.T, b *bundle, req signup.Request) { b.begin(t, req) },
				"the same e-mail": func(t *testing.T, b *bundle, req signup.Request) {
					req.IdempotencyKey = uuid.NewString()
					_, err := b.service.Begin(t.Context(), req)
					if made && !errors.Is(err, signup.ErrEmailExists) || !made && err != nil {
						t.Fatalf("got %v", err)
					}
				},
			} {
				t.Run(name+", "+when+" the user is made, "+inviter, func(t *testing.T) {
					t.Parallel()
					b := setup(t, spares)
					dead := make(chan struct{})
					victim := b.newService(t, func(c *signup.Config) { c.Identity = died{c.Identity, made, dead} })
					req := request()
					go func() { _, _ = victim.Begin(context.WithoutCancel(t.Context()), req) }()
					<-dead
					b.exec(t, "update signups set check_at = now()") // the lease ends
					follow(t, b, req)

					users := len(b.auth0.Users())
					ready := b.number(t, "select count(*) from signups where status = 'ready'")
					wantReady := 1
					if !made && inviter == "the reconciler" {
						wantReady = 0
					}
					if users != ready || ready != wantReady {
						t.Errorf("%d users and %d ready sign-ups, want %d of each", users, ready, wantReady)
					}
					if n := b.number(t, "select count(*) from tenants where state in ('reserved', 'building')"); n != b.number(t, "select count(*) from signups where status = 'expired'") {
						t.Errorf("%d tenants are held, though not by expired sign-ups", n)
					}
					// The last recheck releases what an expired sign-up holds.
					b.exec(t, "update signups set check_at = now(), finished_at = now() - interval '1 hour' where status = 'expired'")
					if err := b.service.ReconcileOnce(t.Context()); err != nil {
						t.Fatal(err)
					}
					if n := b.number(t, "select count(*) from tenants where state in ('reserved', 'building') and name is not null"); n != 0 {
						t.Errorf("%d tenants are held after the last recheck", n)
					}
					if n := b.number(t, "select count(*) from signups where status in ('pending', 'provisioning')"); n != 0 {
						t.Errorf("%d sign-ups are unfinished", n)
					}
				})
			}
		}
	}
}

// TestALateIdentityIsRemoved: the provider creates the user only after the sign-up has expired.
func TestALateIdentityIsRemoved(t *testing.T) {
	t.Parallel()
	for name, remove := range map[string]func(t *testing.T, b *bundle, req signup.Request) (users int){
		"by the reconciler's next pass": func(t *testing.T, b *bundle, _ signup.Request) int {
			b.exec(t, "update signups set check_at = now()")
			if err := b.service.ReconcileOnce(t.Context()); err != nil {
				t.Fatal(err)
			}
			return 0
		},
		"by the next sign-up with its e-mail": func(t *testing.T, b *bundle, req signup.Request) int {
			b.usable(t, b.begin(t, req).School.Database)
			return 1
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, 1)
			req := request()
			late := make(chan identity.NewUser, 1)
			victim := b.newService(t, func(c *signup.Config) { c.Identity = slow{c.Identity, late} })
			go func() { _, _ = victim.Begin(context.WithoutCancel(t.Context()), req) }()
			user := <-late
			b.exec(t, "update signups set check_at = now()")
			if err := b.service.ReconcileOnce(t.Context()); err != nil {
				t.Fatal(err)
			}
			var provider identity.Provider
			b.newService(t, func(c *signup.Config) { provider = c.Identity })
			if _, err := provider.Create(t.Context(), user); err != nil {
				t.Fatal(err)
			}
			want := remove(t, b, req)
			if users := b.auth0.Users(); len(users) != want {
				t.Errorf("%d users, want %d: %+v", len(users), want, users)
			}
			if ready := b.number(t, "select count(*) from signups where status = 'ready'"); ready != want {
				t.Errorf("%d schools, want %d", ready, want)
			}
		})
	}
}

// TestALateCreateAfterADefiniteFailureIsRemoved: the first create's answer is lost, the rate limit refuses the second,
// and the first then takes effect.
func TestALateCreateAfterADefiniteFailureIsRemoved(t *testing.T) {
	t.Parallel()
	b := setup(t, 1)
	first := true
	var sent identity.NewUser
	victim := b.newService(t, func(c *signup.Config) {
		c.Identity = scripted{c.Identity, func(_ context.Context, user identity.NewUser) (identity.User, error) {
			sent = user
			if first {
				first = false
				return identity.User{}, &identity.Unavailable{Unknown: true, Err: errors.New("the answer was lost")}
			}
			return identity.User{}, &identity.Unavailable{Throttled: true, RetryAfter: time.Minute, Err: errors.New("throttled")}
		}}
	})
	_, err := victim.Begin(t.Context(), request())
	var unavailable *signup.Unavailable
	if !errors.As(err, &unavailable) {
		t.Fatalf("got %v", err)
	}
	if n := b.number(t, "select count(*) from signups where status = 'pending' and check_at is not null"); n != 1 {
		t.Fatalf("%d sign-ups are reconciled, want 1", n)
	}
	expire := func() {
		b.exec(t, "update signups set check_at = now()")
		if err := b.service.ReconcileOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	expire()
	var provider identity.Provider
	b.newService(t, func(c *signup.Config) { provider = c.Identity })
	if _, err := provider.Create(t.Context(), sent); err != nil {
		t.Fatal(err)
	}
	expire()
	if users := b.auth0.Users(); len(users) != 0 {
		t.Errorf("users are left: %+v", users)
	}
}

// TestAWorkerThatWakesAfterTheEndLeavesNothing: a worker is paused in the identity step until after its sign-up has
// expired.
func TestAWorkerThatWakesAfterTheEndLeavesNothing(t *testing.T) {
	t.Parallel()
	for name, spares := range map[string]int{"with a spare": 1, "without a spare": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, spares)
			paused, wake := make(chan struct{}), make(chan struct{})
			victim := b.newService(t, func(c *signup.Config) {
				provider := c.Identity
				c.Identity = scripted{provider, func(ctx context.Context, user identity.NewUser) (identity.User, error) {
					close(paused)
					<-wake
					return provider.Create(context.WithoutCancel(ctx), user)
				}}
			})
			ended := make(chan error, 1)
			go func() {
				_, err := victim.Begin(t.Context(), request())
				ended <- err
			}()
			<-paused
			for range 2 { // expires it, and does the last recheck
				b.exec(t, "update signups set check_at = now(), finished_at = finished_at - interval '1 hour'")
				if err := b.service.ReconcileOnce(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			close(wake)
			var unavailable *signup.Unavailable
			if err := <-ended; !errors.As(err, &unavailable) {
				t.Errorf("the worker returned %v", err)
			}
			if users := b.auth0.Users(); len(users) != 0 {
				t.Errorf("users are left: %+v", users)
			}
			if n := b.number(t, "select count(*) from tenants where state <> 'spare' and name is not null"); n != 0 {
				t.Errorf("%d tenants are held", n)
			}
		})
	}
}

// scripted is a provider with a create from the test.
type scripted struct {
	identity.Provider
	create func(ctx context.Context, user identity.NewUser) (identity.User, error)
}

func (s scripted) Create(ctx context.Context, user identity.NewUser) (identity.User, error) {
	return s.create(ctx, user)
}

// slow is a provider that never answers.
type slow struct {
	identity.Provider
	asked chan identity.NewUser
}

func (s slow) Create(_ context.Context, user identity.NewUser) (identity.User, error) {
	s.asked <- user
	select {}
}

// TestAnotherSignupsIdentityIsNeitherLinkedNorDeleted: an identity has our id, but not our sign-up's id in its
// metadata.
func TestAnotherSignupsIdentityIsNeitherLinkedNorDeleted(t *testing.T) {
	t.Parallel()
	b := setup(t, 1)
	late := make(chan identity.NewUser, 1)
	victim := b.newService(t, func(c *signup.Config) { c.Identity = slow{c.Identity, late} })
	go func() { _, _ = victim.Begin(context.WithoutCancel(t.Context()), request()) }()
	user := <-late
	user.Metadata.SignupID = "another"
	var provider identity.Provider
	b.newService(t, func(c *signup.Config) { provider = c.Identity })
	if _, err := provider.Create(t.Context(), user); err != nil {
		t.Fatal(err)
	}
	b.exec(t, "update signups set check_at = now()")
	if err := b.service.ReconcileOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(b.auth0.Users()); n != 1 {
		t.Errorf("%d users, want the other person's", n)
	}
	if n := b.number(t, "select count(*) from signups where status = 'needs_operator' and check_at is null"); n != 1 {
		t.Errorf("%d sign-ups need an operator, want 1", n)
	}
}
