package main

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"homeroom/auth0"
	"homeroom/auth0/auth0test"
	"homeroom/internal/flaky"
	"homeroom/internal/pgtest"
	"homeroom/internal/secret"
)

// waitPolicy is a configuration in which sign-ups wait for people, and accounts get roles and organizations at the
// provider.
type waitPolicy string

const (
	// verifiedApproved: the e-mail is confirmed, then an operator approves.
	verifiedApproved waitPolicy = "verified, approved"
	// concealed hides which e-mails have an account.
	concealed waitPolicy = "concealed"
)

// peopleCrash is a kill point in a sign-up that waits for people.
type peopleCrash struct {
	point      string
	waitPolicy waitPolicy
	// provoke brings the victim to the point. If it is nil, client, owner and operator all act.
	provoke func(t *testing.T, w *peopleWorld, victim *process, s school)
	// recovery runs after that. If it is nil, client, owner and operator act until the school is ready.
	recovery func(t *testing.T, w *peopleWorld, survivor *process, s school)
}

var peopleCrashes = []peopleCrash{
	{point: "signup.unconfirmed", waitPolicy: verifiedApproved},
	{point: "signup.login_confirmed", waitPolicy: verifiedApproved, provoke: confirmsWith("Interrupted-Horse-1"), recovery: opensWithTheLast},
	{point: "signup.email_verified", waitPolicy: verifiedApproved},
	{point: "signup.waits", waitPolicy: verifiedApproved},
	{point: "signup.admitted", waitPolicy: verifiedApproved},
	{point: "signup.identity_recorded", waitPolicy: verifiedApproved},
	{point: "signup.login_told", waitPolicy: verifiedApproved},
	{point: "signup.enrolled", waitPolicy: verifiedApproved},
	{point: "signup.before_finish", waitPolicy: verifiedApproved},
	{point: "signup.finished", waitPolicy: verifiedApproved},
	{point: "signup.rejected", waitPolicy: verifiedApproved, provoke: rejects, recovery: leavesNothing},
	{point: "reconcile.expired_waiting", waitPolicy: verifiedApproved, provoke: expires, recovery: leavesNothing},
	{point: "signup.adoption_wanted", waitPolicy: verifiedApproved, provoke: signUpWithLogin, recovery: accountLinked},
	{point: "signup.withdrawn", waitPolicy: verifiedApproved, provoke: loginRemoved, recovery: noOrganization},

	{point: "signup.unconfirmed", waitPolicy: concealed},
	{point: "signup.login_confirmed", waitPolicy: concealed, provoke: confirmsWith("Interrupted-Horse-1"), recovery: opensWithTheLast},
	{point: "signup.email_verified", waitPolicy: concealed},
}

// TestKilledAtEveryStepWithPeople kills the real process at every step of sign-ups that wait for people, link
// accounts, and assign roles and organizations, starts another, and audits the result.
func TestKilledAtEveryStepWithPeople(t *testing.T) {
	t.Parallel()
	for _, gate := range []waitPolicy{verifiedApproved, concealed} {
		t.Run(string(gate), func(t *testing.T) {
			t.Parallel()
			postgres := pgtest.Private(t, nil)
			w := newPeopleWorld(t, newWorld(t, postgres.URL("catalog"), postgres.URL("postgres"), 1), gate)
			for i, c := range peopleCrashes {
				if c.waitPolicy == gate {
					t.Run(c.point, func(t *testing.T) { c.run(t, w, newSchool(i)) })
				}
			}
			auditServer(t, postgres.URL("postgres"), w.known(t))
		})
	}
}

func (c peopleCrash) run(t *testing.T, w *peopleWorld, s school) {
	t.Helper()
	victim := w.start(t, "HOMEROOM_KILL_AT="+c.point)
	if c.provoke == nil {
		c.provoke = func(t *testing.T, w *peopleWorld, victim *process, s school) {
			w.everybodyUntil(t, victim, s, dead(victim))
		}
	}
	c.provoke(t, w, victim, s)
	victim.waitDead(t)
	survivor := w.start(t)
	if c.recovery == nil {
		c.recovery = func(t *testing.T, w *peopleWorld, survivor *process, s school) {
			w.everybodyUntil(t, survivor, s, func() bool { return w.ready(t, s) })
			w.checkMembership(t, s)
		}
	}
	c.recovery(t, w, survivor, s)
	w.waitIdleWithPeople(t)
	w.waitIdle(t) // and until all spares exist
	w.audit(t)
	survivor.kill()
}

func dead(p *process) func() bool {
	return func() bool {
		select {
		case <-p.done:
			return true
		default:
			return false
		}
	}
}

// rejects rejects the sign-up as an operator.
func rejects(t *testing.T, w *peopleWorld, victim *process, s school) {
	t.Helper()
	eventually(t, "the death of the process", func() (bool, error) {
		_, body, err := s.post(t.Context(), victim.url)
		w.confirm(t, victim, s, chosenPassword)
		w.decide(t, victim, s, "reject")
		return dead(victim)(), fmt.Errorf("%s %w", body, err)
	})
}

// expires makes the sign-up reach its wait timeout.
func expires(t *testing.T, w *peopleWorld, victim *process, s school) {
	t.Helper()
	if status, body, err := s.post(t.Context(), victim.url); status != http.StatusAccepted {
		t.Fatalf("answered %d %s %v", status, body, err)
	}
	w.exec(t, "update signups set check_at = now() where email = $1", s.Email)
}

// leavesNothing checks that neither a user nor an account is left.
func leavesNothing(t *testing.T, w *peopleWorld, _ *process, s school) {
	t.Helper()
	eventually(t, "the end of the login", func() (bool, error) {
		return !slices.ContainsFunc(w.auth0.Users(), func(u auth0test.User) bool { return u.Email == s.Email }), nil
	})
	if n, err := w.number(t.Context(), "select count(*) from users where state <> 'active'"); err != nil || n != 0 {
		t.Errorf("%d users are left, %v", n, err)
	}
}

// person is the id of the account that somebody has created at the provider.
func person(s school) string { return "auth0|" + s.Key }

// signUpWithLogin signs a school up with an existing account.
func signUpWithLogin(t *testing.T, w *peopleWorld, victim *process, s school) {
	t.Helper()
	if err := w.auth0.Seed(auth0test.User{ID: person(s), Email: s.Email, EmailVerified: true}); err != nil {
		t.Fatal(err)
	}
	if status, body, err := w.postSchool(t, victim, s); err == nil {
		t.Fatalf("answered %d %s", status, body)
	}
}

func (w *peopleWorld) postSchool(t *testing.T, p *process, s school) (int, string, error) {
	t.Helper()
	token := w.auth0.IssueToken(auth0test.TokenRequest{Subject: person(s)})
	return request(t.Context(), p.url, http.MethodPost, "/schools", `{"schoolName":"Lincoln High"}`, "Authorization", "Bearer "+token)
}

// accountLinked checks that the sign-up goes on by itself, up to the operator, and that the account keeps its owner.
func accountLinked(t *testing.T, w *peopleWorld, survivor *process, s school) {
	t.Helper()
	eventually(t, "the school of the login", func() (bool, error) {
		w.approve(t, survivor, s)
		return w.ready(t, s), nil
	})
	w.checkMembership(t, s)
	if user, ok := w.auth0.User(person(s)); !ok || user.AppMetadata["tenant_id"] == nil {
		t.Errorf("the login: %+v", user)
	}
}

// loginRemoved deletes the account at the provider while its school is being created.
func loginRemoved(t *testing.T, w *peopleWorld, victim *process, s school) {
	t.Helper()
	// The organization is created, and the membership fails until the account is deleted.
	w.auth0.Inject(flaky.Fault{Method: "POST", Path: "/api/v2/organizations/", Kind: flaky.StatusBefore, Times: -1})
	eventually(t, "the organization", func() (bool, error) {
		_, _, err := s.post(t.Context(), victim.url)
		w.confirm(t, victim, s, chosenPassword)
		w.approve(t, victim, s)
		return len(w.organizationsOf(t, s)) == 1, err
	})
	client, err := auth0.New(auth0.Config{BaseURL: w.auth0.URL(), ClientID: "homeroom-dev", ClientSecret: "homeroom-dev-secret"})
	if err != nil {
		t.Fatal(err)
	}
	users, err := client.LookupEmail(t.Context(), s.Email)
	if err != nil || len(users) != 1 {
		t.Fatalf("%d logins, %v", len(users), err)
	}
	if err := client.Delete(t.Context(), users[0].OurID); err != nil {
		t.Fatal(err)
	}
	w.auth0.ClearFaults()
}

// organizationsOf returns the organizations of a school that is being created.
func (w *peopleWorld) organizationsOf(t *testing.T, s school) []string {
	t.Helper()
	var tenant string
	err := w.pool.QueryRow(t.Context(), `select coalesce(tenant_id::text, '') from signups where email = $1`, s.Email).Scan(&tenant)
	if err != nil || tenant == "" {
		return nil
	}
	var found []string
	for _, o := range w.auth0.Organizations() {
		if o.Metadata["tenant_id"] == tenant {
			found = append(found, o.ID)
		}
	}
	return found
}

// noOrganization checks that the sign-up needs an operator, and that its organization was deleted.
func noOrganization(t *testing.T, w *peopleWorld, _ *process, s school) {
	t.Helper()
	var id string
	eventually(t, "the sign-up that needs an operator", func() (bool, error) {
		err := w.pool.QueryRow(t.Context(), `select id from signups where email = $1 and status = 'needs_operator'`, s.Email).Scan(&id)
		return err == nil, err
	})
	if left := w.organizationsOf(t, s); len(left) != 0 {
		t.Errorf("organizations without their owner: %v", left)
	}
	if code, out, errs := w.homeroom(t, "signup", "resolve", id, "--finish"); code != exitCannot || !strings.Contains(errs, "account is not at") {
		t.Errorf("without its login it is finished, with exit code %d: %s%s", code, out, errs)
	}
	if code, out, errs := w.homeroom(t, "signup", "resolve", id, "--undo"); code != exitOK {
		t.Errorf("exit code %d: %s%s", code, out, errs)
	}
}

// confirmsWith confirms the e-mail with a password as its owner, until the process dies.
func confirmsWith(password string) func(*testing.T, *peopleWorld, *process, school) {
	return func(t *testing.T, w *peopleWorld, victim *process, s school) {
		t.Helper()
		if status, body, err := s.post(t.Context(), victim.url); status != http.StatusAccepted {
			t.Fatalf("answered %d %s %v", status, body, err)
		}
		eventually(t, "the death of the process", func() (bool, error) {
			w.confirm(t, victim, s, password)
			return dead(victim)(), nil
		})
	}
}

// opensWithTheLast: the owner confirms once more, with another password, and only that one opens the account.
func opensWithTheLast(t *testing.T, w *peopleWorld, survivor *process, s school) {
	t.Helper()
	const last = "Last-Horse-22"
	eventually(t, "the school", func() (bool, error) {
		w.confirm(t, survivor, s, last)
		w.approve(t, survivor, s)
		return w.ready(t, s), nil
	})
	w.checkMembership(t, s)
	cfg := w.auth0.Config()
	client, err := auth0.New(auth0.Config{
		BaseURL: w.auth0.URL(), ClientID: cfg.ClientID, ClientSecret: secret.String(cfg.ClientSecret), Audience: cfg.Audience,
	})
	if err != nil {
		t.Fatal(err)
	}
	for password, opens := range map[secret.String]bool{last: true, "Interrupted-Horse-1": false, secret.String(s.password(t)): false} {
		if _, err := client.OpenSession(t.Context(), s.Email, password, ""); (err == nil) != opens {
			t.Errorf("a password opens the account: %v, want %v; %v", err == nil, opens, err)
		}
	}
}
