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

	"homeroom/auth0/auth0test"
	"homeroom/mail/mailtest"
)

// peopleWorld is a world with the people in it: clients, owners of e-mail addresses, operators.
type peopleWorld struct {
	*world
	mails *mailtest.Server
}

func newPeopleWorld(t *testing.T, w *world, gate waitPolicy) *peopleWorld {
	t.Helper()
	mails, err := mailtest.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = mails.Close() })
	w.env = []string{
		"HOMEROOM_PROVISION_AFTER=verified", "HOMEROOM_SMTP_URL=" + mails.URL(), "HOMEROOM_MAIL_FROM=no-reply@homeroom.test",
		"AUTH0_OWNER_ROLE=owner", "AUTH0_ORGANIZATIONS=true", "HOMEROOM_URL=http://homeroom.test",
	}
	if gate == concealed {
		w.env = append(w.env, "HOMEROOM_SIGNUP_CONCEAL_EXISTING=true")
	} else {
		w.env = append(w.env, "HOMEROOM_SIGNUP_MODE=approve")
	}
	return &peopleWorld{w, mails}
}

// everybodyUntil acts as the client, the owner of the e-mail and the operator, again and again.
func (w *peopleWorld) everybodyUntil(t *testing.T, p *process, s school, done func() bool) {
	t.Helper()
	eventually(t, "the end of everybody's part", func() (bool, error) {
		if done() {
			return true, nil
		}
		status, body, err := s.post(t.Context(), p.url)
		if err == nil && !slices.Contains([]int{201, 202, 409, 503}, status) {
			t.Fatalf("answered %d %s", status, body)
		}
		w.confirm(t, p, s, chosenPassword)
		w.approve(t, p, s)
		return done(), fmt.Errorf("%d %s %w", status, body, err)
	})
}

// chosenPassword is the password that owners choose on the page that confirms their e-mail.
const chosenPassword = "Chosen-Horse-33"

var activation = regexp.MustCompile(`http://homeroom\.test/activate\?token=([A-Za-z0-9_-]+)`)

// confirm follows the link of the newest mail, if there is one, and presses its button.
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

// askForMail requests the mail again if a process died while it sent it: for a minute no other process sends it, and
// if the text was already being sent, none ever does.
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

// approve approves the school's sign-up, if it waits for that.
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

// ready reports whether the school is ready and its owner verified.
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

// checkMembership checks the membership at the provider: one organization, with its owner as the only member.
func (w *peopleWorld) checkMembership(t *testing.T, s school) {
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

// waitIdleWithPeople waits until no work is left except sign-ups that wait for people.
func (w *peopleWorld) waitIdleWithPeople(t *testing.T) {
	t.Helper()
	eventually(t, "rest", func() (bool, error) {
		n, err := w.number(t.Context(), `
			select count(*)
			from signups
			where check_at is not null and status not in ('awaiting_verification', 'awaiting_approval')`)
		return n == 0, fmt.Errorf("%d sign-ups are under way: %w", n, err)
	})
}

// password returns the password that the sign-up sends.
func (s school) password(t *testing.T) string {
	t.Helper()
	var sent struct{ Password string }
	if err := json.Unmarshal([]byte(s.Body), &sent); err != nil {
		t.Fatal(err)
	}
	return sent.Password
}
