package mail_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/uuid"

	"homeroom/catalog"
	"homeroom/mail"
)

func TestEventsMakeMails(t *testing.T) {
	t.Parallel()
	ada := catalog.Notification{Email: "ada@lincoln.example", Locale: "de", Name: "Ada", SchoolName: "Lincoln High"}
	invitation := ada
	id := uuid.New()
	invitation.InvitationID, invitation.Role = &id, "member"
	for event, c := range map[string]struct {
		notice catalog.Notification
		kind   mail.Kind
		texts  string
	}{
		catalog.SignupAwaitingVerification: {ada, mail.Activation, "bestätigen"},
		catalog.SignupAwaitingApproval:     {ada, mail.Waiting, "angesehen"},
		catalog.SignupRejected:             {ada, mail.Rejected, "nicht annehmen"},
		catalog.SignupRepeated:             {ada, mail.AlreadyRegistered, "bereits zu einem Konto"},
		catalog.InvitationCreated:          {invitation, mail.Invitation, "Lincoln High bei Homeroom"},
	} {
		t.Run(event, func(t *testing.T) {
			t.Parallel()
			w := setup(t)
			told := notice(event, c.notice)
			jobs := w.fanOut(told)
			if len(jobs) != 1 {
				t.Fatalf("%d jobs", len(jobs))
			}
			m := w.wantState(jobs[0], catalog.MailQueued)
			if m.Kind != string(c.kind) || m.Recipient != ada.Email || m.Locale != "de" || m.EventID != told.ID || *m.SignupID != *told.SignupID {
				t.Errorf("the mail is %+v", m)
			}
			w.send(jobs[0])
			l := parse(t, w.wantMessages(1)[0].Raw)
			if !strings.Contains(l.text, c.texts) {
				t.Errorf("the text is %q", l.text)
			}
			if named := strings.Contains(l.text+l.subject, "Lincoln High"); named != (event == catalog.InvitationCreated) {
				t.Errorf("the school is named: %v", named)
			}
		})
	}
}

func TestASchoolThatIsReady(t *testing.T) {
	t.Parallel()
	w := setup(t)
	result := `{"signupId":"` + uuid.NewString() + `","user":{"id":"` + uuid.NewString() + `","identityId":"auth0|1",
		"email":"ada@lincoln.example","emailVerified":true,"givenName":"Ada"},"school":{"name":"Lincoln High","slug":"lincoln-high","database":"t_x"}}`
	jobs := w.fanOut(catalog.OutboxEvent{ID: uuid.New(), Type: catalog.TenantReady, Data: json.RawMessage(result)})
	w.send(jobs[0])
	l := parse(t, w.wantMessages(1)[0].Raw)
	if l.subject != "Lincoln High is ready" || !strings.Contains(l.text, "Hello Ada,") || !strings.Contains(l.text, "lincoln-high") {
		t.Errorf("%q: %q", l.subject, l.text)
	}
}

// TestMailsToUnconfirmedAddressesQuoteNothing: anybody may sign up with another person's address, and with any text.
func TestMailsToUnconfirmedAddressesQuoteNothing(t *testing.T) {
	t.Parallel()
	for _, locale := range []string{"en", "de", "fr", "es"} {
		w := setup(t)
		user := uuid.New()
		w.exec(`insert into users (id, email, locale) values ($1, 'ada@lincoln.example', $2)`, user, locale)
		jobs := w.fanOut(
			catalog.OutboxEvent{ID: uuid.New(), Type: catalog.TenantReady, Data: json.RawMessage(`{"user":{"id":"` + user.String() + `",
				"email":"ada@lincoln.example","emailVerified":false,"givenName":"STRANGE","name":"STRANGE"},
				"school":{"name":"STRANGE school","slug":"strange-school"}}`)},
			notice(catalog.SignupAwaitingVerification, catalog.Notification{Email: "ada@lincoln.example", Locale: locale, Name: "STRANGE", SchoolName: "STRANGE"}),
			notice(catalog.SignupAwaitingApproval, catalog.Notification{Email: "ada@lincoln.example", Locale: locale, Name: "STRANGE", SchoolName: "STRANGE"}),
			notice(catalog.SignupRejected, catalog.Notification{Email: "ada@lincoln.example", Locale: locale, Name: "STRANGE", SchoolName: "STRANGE"}),
			notice(catalog.SignupRepeated, catalog.Notification{Email: "ada@lincoln.example", Locale: locale, Name: "STRANGE", SchoolName: "STRANGE"}),
		)
		for _, job := range jobs {
			w.send(job)
		}
		for _, m := range w.wantMessages(5) {
			l := parse(t, m.Raw)
			if strings.Contains(strings.ToLower(l.subject+l.text+l.html), "strange") || strings.Contains(l.subject, "{{") || l.subject == "" {
				t.Errorf("%s: %q: %q", locale, l.subject, l.text)
			}
		}
	}
}

func TestWhatEventsMakeNoMail(t *testing.T) {
	t.Parallel()
	w := setup(t)
	again := notice(catalog.SignupAwaitingVerification, catalog.Notification{Email: "ada@lincoln.example"})
	if jobs := w.fanOut(again, again); len(jobs) != 1 {
		t.Errorf("a repeated event caused %d mails", len(jobs))
	}
	for name, event := range map[string]catalog.OutboxEvent{
		"one for programs":          notice(catalog.UserCreated, catalog.Notification{Email: "ada@lincoln.example"}),
		"one without an address":    notice(catalog.SignupRejected, catalog.Notification{}),
		"one that is not an object": {ID: uuid.New(), Type: catalog.SignupRejected, Data: json.RawMessage(`[]`)},
		"one with two addresses":    notice(catalog.SignupRejected, catalog.Notification{Email: "ada@lincoln.example,eve@evil.example"}),
		"one with a header inside":  notice(catalog.SignupRejected, catalog.Notification{Email: "ada@lincoln.example\r\nBcc: eve@evil.example"}),
	} {
		if jobs := w.fanOut(event); len(jobs) != 0 {
			t.Errorf("%s caused a mail", name)
		}
	}
}

func TestAskingForAnotherLink(t *testing.T) {
	t.Parallel()
	w := setup(t)
	first := notice(catalog.SignupAwaitingVerification, catalog.Notification{Email: "ada@lincoln.example"})
	second := first
	second.ID = uuid.New()
	w.fanOut(first)
	jobs := w.fanOut(second)
	if len(jobs) != 1 {
		t.Fatalf("%d jobs", len(jobs))
	}
	if m := w.wantState(jobs[0], catalog.MailQueued); m.Kind != string(mail.ActivationResent) {
		t.Errorf("the mail is %s", m.Kind)
	}
}

func TestAlreadyRegisteredMailsAreRateLimited(t *testing.T) {
	t.Parallel()
	w := setup(t)
	repeated := func(email string) int {
		return len(w.fanOut(notice(catalog.SignupRepeated, catalog.Notification{Email: email})))
	}
	first, second, other := repeated("ada@lincoln.example"), repeated("ada@lincoln.example"), repeated("eve@lincoln.example")
	if first != 1 || second != 0 || other != 1 {
		t.Errorf("%d, %d and %d mails", first, second, other)
	}
	w.exec(`update mails set created_at = now() - interval '61 minutes'`)
	if later := repeated("ada@lincoln.example"); later != 1 {
		t.Errorf("%d mails an hour later", later)
	}
}
