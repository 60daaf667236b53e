package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"homeroom/auth0"
	"homeroom/auth0/auth0test"
	"homeroom/internal/pgtest"
	"homeroom/mail/mailtest"
)

// gate is a kind of world in which schools wait for people, and have a place at the provider.
type gate string

const (
	// verified and approved: the e-mail is confirmed, then an operator agrees.
	verifiedApproved gate = "verified, approved"
	// concealed: nobody is told whether an e-mail has an account.
	concealed gate = "concealed"
)

// peopleCrash is a kill point on the way of a school that waits for people.
type peopleCrash struct {
	point string
	gate  gate
	// provoke leads the victim to the point; nil has everybody do their part.
	provoke func(t *testing.T, w *peopleWorld, victim *process, s school)
	// mend is what comes then; nil has everybody do their part until the school is ready.
	mend func(t *testing.T, w *peopleWorld, survivor *process, s school)
}

var peopleCrashes = []peopleCrash{
	{point: "signup.waits", gate: verifiedApproved},
	{point: "signup.waits:2", gate: verifiedApproved},
	{point: "signup.email_verified", gate: verifiedApproved},
	{point: "signup.admitted", gate: verifiedApproved},
	{point: "signup.identity_recorded", gate: verifiedApproved},
	{point: "signup.login_told", gate: verifiedApproved},
	{point: "signup.enrolled", gate: verifiedApproved},
	{point: "signup.before_finish", gate: verifiedApproved},
	{point: "signup.finished", gate: verifiedApproved},
	{point: "signup.rejected", gate: verifiedApproved, provoke: rejects, mend: leavesNothing},
	{point: "reconcile.given_up", gate: verifiedApproved, provoke: expires, mend: leavesNothing},
	{point: "signup.adoption_wanted", gate: verifiedApproved, provoke: adopts, mend: adopted},
	{point: "signup.withdrawn", gate: verifiedApproved, provoke: loginRemoved, mend: noOrganization},

	{point: "signup.concealed", gate: concealed},
	{point: "signup.made_quietly", gate: concealed},
	{point: "signup.made_at_last", gate: concealed, provoke: confirmedWithPassword},
	{point: "signup.email_verified", gate: concealed},
}

// TestKilledAtEveryStepWithPeople kills the real process at every step of sign-ups that wait for people, take on logins,
// and get organizations and roles, starts another, and looks at what is left.
func TestKilledAtEveryStepWithPeople(t *testing.T) {
	t.Parallel()
	for _, gate := range []gate{verifiedApproved, concealed} {
		t.Run(string(gate), func(t *testing.T) {
			t.Parallel()
			postgres := pgtest.Private(t, nil)
			w := newPeopleWorld(t, newWorld(t, postgres.URL("catalog"), postgres.URL("postgres"), 1), gate)
			for i, c := range peopleCrashes {
				if c.gate == gate {
					t.Run(c.point, func(t *testing.T) { c.run(t, w, newSchool(i)) })
				}
			}
			auditServer(t, postgres.URL("postgres"), w.known(t))
		})
	}
}

// peopleWorld is a world with the people in it.
type peopleWorld struct {
	*world
	mails *mailtest.Server
}

func newPeopleWorld(t *testing.T, w *world, gate gate) *peopleWorld {
	t.Helper()
	mails, err := mailtest.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = mails.Close() })
	w.env = []string{
		"PROVISION_AFTER=verified", "HOMEROOM_SMTP_URL=" + mails.URL(), "HOMEROOM_MAIL_FROM=no-reply@homeroom.test",
		"AUTH0_OWNER_ROLE=owner", "AUTH0_ORGANIZATIONS=true", "HOMEROOM_URL=http://homeroom.test",
	}
	if gate == concealed {
		w.env = append(w.env, "SIGNUP_CONCEAL_EXISTING=true")
	} else {
		w.env = append(w.env, "SIGNUP_MODE=approve")
	}
	return &peopleWorld{w, mails}
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
	if c.mend == nil {
		c.mend = func(t *testing.T, w *peopleWorld, survivor *process, s school) {
			w.everybodyUntil(t, survivor, s, func() bool { return w.ready(t, s) })
			w.placed(t, s)
		}
	}
	c.mend(t, w, survivor, s)
	w.settledWith(t)
	w.settled(t) // and the stock is full
	w.audit(t)
	survivor.kill()
}

// everybodyUntil has the client, the owner of the e-mail and the operator do their parts, again and again.
func (w *peopleWorld) everybodyUntil(t *testing.T, p *process, s school, done func() bool) {
	t.Helper()
	password := s.password(t) // the page asks for it where the login could not be made after the answer
	eventually(t, "the end of everybody's part", func() (bool, error) {
		if done() {
			return true, nil
		}
		status, body, err := s.post(t.Context(), p.url)
		if err == nil && !slices.Contains([]int{201, 202, 409, 503}, status) {
			t.Fatalf("answered %d %s", status, body)
		}
		w.confirm(t, p, s, password)
		w.approve(t, p, s)
		return done(), fmt.Errorf("%d %s %w", status, body, err)
	})
}

var activation = regexp.MustCompile(`http://homeroom\.test/activate\?token=([A-Za-z0-9_-]+)`)

// confirm follows the link of the newest mail, if one has come, and presses its button.
func (w *peopleWorld) confirm(t *testing.T, p *process, s school, password string) {
	t.Helper()
	for _, m := range slices.Backward(w.mails.Messages()) {
		text := strings.NewReplacer("=\r\n", "", "=3D", "=").Replace(string(m.Raw)) // quoted-printable
		link := activation.FindStringSubmatch(text)
		if link == nil || !strings.Contains(m.To, s.Email) {
			continue
		}
		form := url.Values{"token": {link[1]}, "password": {password}}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.url+"/activate", strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if resp, err := http.DefaultTransport.RoundTrip(req); err == nil {
			_ = resp.Body.Close()
		}
		return
	}
	w.askForMail(t, p, s)
}

// askForMail asks for the mail again, if a process died while it was at it: nobody else sends it for a minute, and if it was
// being handed over, nobody ever does.
func (w *peopleWorld) askForMail(t *testing.T, p *process, s school) {
	t.Helper()
	var id string
	err := w.pool.QueryRow(t.Context(), `
		select signups.id
		from signups
		join mails on mails.signup_id = signups.id
		where email = $1 and status = 'awaiting_verification'
		group by signups.id
		having bool_and(mails.attempts > 0)`, s.Email).Scan(&id)
	if err == nil {
		_, _, _ = request(t.Context(), p.url, http.MethodPost, "/signups/"+id+"/verification-email", "", "Accept", "*/*") // the process may die
	}
}

// approve agrees to the school's sign-up, if it waits for that.
func (w *peopleWorld) approve(t *testing.T, p *process, s school) {
	t.Helper()
	w.decide(t, p, s, "approve")
}

func (w *peopleWorld) decide(t *testing.T, p *process, s school, what string) {
	t.Helper()
	var id string
	err := w.pool.QueryRow(t.Context(), `select id from signups where email = $1 and status = 'awaiting_approval'`, s.Email).Scan(&id)
	if err != nil {
		return // it does not wait
	}
	token := w.auth0.IssueToken(auth0test.TokenRequest{Permissions: []string{"approve:signups"}})
	_, _, _ = request(t.Context(), p.url, http.MethodPost, "/signups/"+id+"/"+what, "", "Authorization", "Bearer "+token) // the process may die
}

// ready tells whether the school has what it wants.
func (w *peopleWorld) ready(t *testing.T, s school) bool {
	t.Helper()
	var ready bool
	err := w.pool.QueryRow(t.Context(), `
		select exists (
			select
			from signups
			join users on users.id = signups.user_id
			where signups.email = $1 and status = 'ready' and users.state = 'active' and users.email_verified)`, s.Email).Scan(&ready)
	if err != nil {
		t.Fatal(err)
	}
	return ready
}

// placed checks the school's place at the provider: one organization, with its owner as the only member.
func (w *peopleWorld) placed(t *testing.T, s school) {
	t.Helper()
	var tenant, organization, login string
	err := w.pool.QueryRow(t.Context(), `
		select tenants.id, organization_id, identity_id
		from users
		join tenants on tenants.id = tenant_id
		where email = $1`, s.Email).Scan(&tenant, &organization, &login)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, o := range w.auth0.Organizations() {
		if o.Metadata["tenant_id"] == tenant {
			found++
			if o.ID != organization {
				t.Errorf("the catalog has organization %s, the provider %s", organization, o.ID)
			}
		}
	}
	if roles := w.auth0.MemberRoles(organization, login); found != 1 || len(roles) != 1 {
		t.Errorf("%d organizations, and the owner has the roles %v", found, roles)
	}
}

// settledWith waits until nothing is under way that does not wait for a person.
func (w *peopleWorld) settledWith(t *testing.T) {
	t.Helper()
	eventually(t, "rest", func() (bool, error) {
		n, err := w.number(t.Context(), `
			select count(*)
			from signups
			where check_at is not null and status not in ('awaiting_verification', 'awaiting_approval')`)
		return n == 0, fmt.Errorf("%d sign-ups are under way: %w", n, err)
	})
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

// rejects has the operator decline.
func rejects(t *testing.T, w *peopleWorld, victim *process, s school) {
	t.Helper()
	eventually(t, "the death of the process", func() (bool, error) {
		_, body, err := s.post(t.Context(), victim.url)
		w.confirm(t, victim, s, "")
		w.decide(t, victim, s, "reject")
		return dead(victim)(), fmt.Errorf("%s %w", body, err)
	})
}

// expires has the sign-up wait for too long.
func expires(t *testing.T, w *peopleWorld, victim *process, s school) {
	t.Helper()
	if status, body, err := s.post(t.Context(), victim.url); status != http.StatusAccepted {
		t.Fatalf("answered %d %s %v", status, body, err)
	}
	w.exec(t, "update signups set check_at = now() where email = $1", s.Email)
}

// leavesNothing: neither a user nor a login is left, by itself.
func leavesNothing(t *testing.T, w *peopleWorld, _ *process, s school) {
	t.Helper()
	eventually(t, "the end of the login", func() (bool, error) {
		return !slices.ContainsFunc(w.auth0.Users(), func(u auth0test.User) bool { return u.Email == s.Email }), nil
	})
	if n, err := w.number(t.Context(), "select count(*) from users where state <> 'active'"); err != nil || n != 0 {
		t.Errorf("%d users are left, %v", n, err)
	}
}

// person is the login that somebody has made at the provider.
func person(s school) string { return "auth0|" + s.Key }

// adopts has a person sign up with the login that they have.
func adopts(t *testing.T, w *peopleWorld, victim *process, s school) {
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

// adopted: the sign-up goes on by itself, up to the operator, and the login stays the person's own.
func adopted(t *testing.T, w *peopleWorld, survivor *process, s school) {
	t.Helper()
	eventually(t, "the school of the login", func() (bool, error) {
		w.approve(t, survivor, s)
		return w.ready(t, s), nil
	})
	w.placed(t, s)
	if user, ok := w.auth0.User(person(s)); !ok || user.AppMetadata["tenant_id"] == nil {
		t.Errorf("the login: %+v", user)
	}
}

// loginRemoved has somebody remove the login at the provider while its school is being made.
func loginRemoved(t *testing.T, w *peopleWorld, victim *process, s school) {
	t.Helper()
	// The organization is made, and the membership fails until the login is gone.
	w.auth0.Inject(auth0test.Fault{Method: "POST", Path: "/api/v2/organizations/", Kind: auth0test.FaultStatusBefore, Times: -1})
	eventually(t, "the organization", func() (bool, error) {
		_, _, err := s.post(t.Context(), victim.url)
		w.confirm(t, victim, s, "")
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

// organizationsOf are the organizations of a school that is being made.
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

// noOrganization: the sign-up waits for a person, and its organization is gone.
func noOrganization(t *testing.T, w *peopleWorld, _ *process, s school) {
	t.Helper()
	eventually(t, "the parked sign-up", func() (bool, error) {
		var parked bool
		err := w.pool.QueryRow(t.Context(), `select status = 'failed' and check_at is null from signups where email = $1`, s.Email).Scan(&parked)
		return parked, err
	})
	if left := w.organizationsOf(t, s); len(left) != 0 {
		t.Errorf("organizations without their owner: %v", left)
	}
	w.exec(t, `delete from users where email = $1`, s.Email) // what a person does about it
	w.exec(t, `update signups set status = 'expired', check_at = now() where email = $1`, s.Email)
}

// confirmedWithPassword: the login could not be made after the answer, so the page asks for the password again.
func confirmedWithPassword(t *testing.T, w *peopleWorld, victim *process, s school) {
	t.Helper()
	before := w.auth0.CountCalls("POST", "/api/v2/users")
	w.auth0.Inject(auth0test.Fault{Method: "POST", Path: "/api/v2/users", Kind: auth0test.FaultStatusBefore, Times: -1})
	if status, body, err := s.post(t.Context(), victim.url); status != http.StatusAccepted {
		t.Fatalf("answered %d %s %v", status, body, err)
	}
	eventually(t, "the death of the process", func() (bool, error) {
		if w.auth0.CountCalls("POST", "/api/v2/users") >= before+3 { // all its attempts
			w.auth0.ClearFaults()
			w.confirm(t, victim, s, s.password(t))
		}
		return dead(victim)(), nil
	})
}

// password is the one that the sign-up sends.
func (s school) password(t *testing.T) string {
	t.Helper()
	var sent struct{ Password string }
	if err := json.Unmarshal([]byte(s.Body), &sent); err != nil {
		t.Fatal(err)
	}
	return sent.Password
}
