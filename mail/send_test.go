package mail_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"homeroom/catalog"
	"homeroom/mail"
	"homeroom/mail/mailtest"
)

// failing sets the answer of one stage of every session.
func failing(stage mailtest.Stage, answer mailtest.Reply) func(mailtest.Stage) mailtest.Reply {
	return func(at mailtest.Stage) mailtest.Reply {
		if at == stage {
			return answer
		}
		return mailtest.Reply{}
	}
}

func TestFaultsOfTheMailServer(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		stage  mailtest.Stage
		answer mailtest.Reply
		want   catalog.MailState
		taken  int
	}{
		"refuses the connection for now":     {mailtest.Greeting, mailtest.Reply{Code: 421, Text: "later"}, catalog.MailQueued, 0},
		"disconnects at once":                {mailtest.Greeting, mailtest.Reply{HangUp: true}, catalog.MailQueued, 0},
		"refuses the sender for now":         {mailtest.From, mailtest.Reply{Code: 451, Text: "greylisted"}, catalog.MailQueued, 0},
		"refuses the sender":                 {mailtest.From, mailtest.Reply{Code: 553, Text: "not you"}, catalog.MailFailed, 0},
		"wants a login":                      {mailtest.From, mailtest.Reply{Code: 530, Text: "log in"}, catalog.MailQueued, 0},
		"disconnects at the sender":          {mailtest.From, mailtest.Reply{HangUp: true}, catalog.MailQueued, 0},
		"refuses the recipient for now":      {mailtest.To, mailtest.Reply{Code: 450, Text: "busy"}, catalog.MailQueued, 0},
		"refuses the recipient":              {mailtest.To, mailtest.Reply{Code: 550, Text: "nobody"}, catalog.MailFailed, 0},
		"disconnects at the recipient":       {mailtest.To, mailtest.Reply{HangUp: true}, catalog.MailQueued, 0},
		"disconnects in the text":            {mailtest.Data, mailtest.Reply{HangUp: true}, catalog.MailUnknown, 0},
		"refuses the text for now":           {mailtest.Text, mailtest.Reply{Code: 452, Text: "full"}, catalog.MailQueued, 0},
		"refuses the text":                   {mailtest.Text, mailtest.Reply{Code: 554, Text: "spam"}, catalog.MailFailed, 0},
		"accepts the mail and disconnects":   {mailtest.Text, mailtest.Reply{HangUp: true, Keep: true}, catalog.MailUnknown, 1},
		"loses the mail and disconnects":     {mailtest.Text, mailtest.Reply{HangUp: true}, catalog.MailUnknown, 0},
		"goes out of service after the text": {mailtest.Text, mailtest.Reply{Code: 421, Text: "closing"}, catalog.MailQueued, 0},
		"takes the mail":                     {mailtest.Text, mailtest.Reply{}, catalog.MailSent, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := setup(t)
			id := w.activation()
			w.server.Fail(failing(c.stage, c.answer))
			again := w.send(id)
			m := w.wantState(id, c.want)
			w.wantMessages(c.taken)
			if (again > 0) != (c.want == catalog.MailQueued) {
				t.Errorf("it is to be called again after %s", again)
			}
			if (m.Problem == nil) != (c.want == catalog.MailSent) {
				t.Errorf("the problem is %v", m.Problem)
			}
			w.server.Fail(nil)
			w.send(id) // once more, without the fault
			switch c.want {
			case catalog.MailQueued:
				w.wantState(id, catalog.MailSent)
				w.wantMessages(1)
			default:
				w.wantState(id, c.want)
				w.wantMessages(c.taken)
			}
		})
	}
}

func TestAMailIsRetriedForADay(t *testing.T) {
	t.Parallel()
	w := setup(t)
	id := w.activation()
	w.server.Fail(failing(mailtest.To, mailtest.Reply{Code: 450, Text: "greylisted"}))
	var total time.Duration
	for range 100 {
		again := w.send(id)
		if again == 0 {
			break
		}
		if again > time.Hour {
			t.Fatalf("it waits for %s", again)
		}
		total += again
		w.exec(`update mails set created_at = created_at - $2::interval where id = $1`, id, again)
	}
	w.wantState(id, catalog.MailFailed)
	if total < 22*time.Hour || total > 25*time.Hour {
		t.Errorf("it was retried for %s", total)
	}
}

func TestAServerThatIsNotThere(t *testing.T) {
	t.Parallel()
	w := setup(t)
	id := w.activation()
	if err := w.server.Close(); err != nil {
		t.Fatal(err)
	}
	if again := w.send(id); again != 30*time.Second {
		t.Errorf("it is retried after %s", again)
	}
	w.wantState(id, catalog.MailQueued)
}

func TestManyWorkersSendAMailOnce(t *testing.T) {
	t.Parallel()
	w := setup(t)
	id := w.activation()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if _, err := w.mail.Send(t.Context(), id); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if m := w.wantState(id, catalog.MailSent); m.Attempts != 1 {
		t.Errorf("%d have begun to send it", m.Attempts)
	}
	w.wantMessages(1)
}

func TestAWorkerWhoseLeaseExpiredSendsNothing(t *testing.T) {
	t.Parallel()
	w := setup(t)
	id := w.activation()
	w.server.Fail(func(stage mailtest.Stage) mailtest.Reply {
		if stage == mailtest.To { // while the server is processing, another worker has leased the mail
			w.exec(`update mails set attempts = attempts + 1 where id = $1`, id)
		}
		return mailtest.Reply{}
	})
	if again := w.send(id); again != 0 {
		t.Errorf("it is to be called again after %s", again)
	}
	w.wantState(id, catalog.MailQueued)
	w.wantMessages(0)
}

func TestNoTextIsSentBeforeItsRowIsMarked(t *testing.T) {
	t.Parallel()
	w := setup(t)
	id := w.activation()
	var mu sync.Mutex
	seen := map[mailtest.Stage]catalog.MailState{}
	w.server.Fail(func(stage mailtest.Stage) mailtest.Reply {
		m, err := w.catalog.MailByID(context.Background(), id)
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		seen[stage] = m.State
		return mailtest.Reply{}
	})
	w.send(id)
	mu.Lock()
	defer mu.Unlock()
	if seen[mailtest.To] != catalog.MailQueued || seen[mailtest.Data] != catalog.MailSending {
		t.Errorf("the row was %v", seen)
	}
}

func TestStoppingDoesNotLoseTheAnswer(t *testing.T) {
	t.Parallel()
	w := setup(t)
	id := w.activation()
	ctx, stop := context.WithCancel(t.Context())
	w.server.Fail(func(stage mailtest.Stage) mailtest.Reply {
		if stage == mailtest.Data {
			stop()
		}
		return mailtest.Reply{}
	})
	if _, err := w.mail.Send(ctx, id); err != nil {
		t.Fatal(err)
	}
	w.wantState(id, catalog.MailSent)
}

func TestMailsThatCannotBeMade(t *testing.T) {
	t.Parallel()
	past := time.Now().Add(-time.Hour)
	t.Run("without their link", func(t *testing.T) {
		t.Parallel()
		w := setup(t, func(c *mail.Config) { c.Links = links{none: true} })
		id := w.activation()
		w.send(id)
		w.wantState(id, catalog.MailFailed)
	})
	t.Run("after they have expired", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		id := w.fanOut(notice(catalog.SignupAwaitingVerification, catalog.Notification{Email: "ada@lincoln.example", ExpiresAt: &past}))[0]
		w.send(id)
		w.wantState(id, catalog.MailFailed)
		w.wantMessages(0)
	})
	t.Run("for now", func(t *testing.T) {
		t.Parallel()
		w := setup(t, func(c *mail.Config) { c.Links = links{noPassword: errElsewhere} })
		id := w.write(mail.SetPassword, notice("password", catalog.Notification{Email: "ada@lincoln.example"}))
		if again := w.send(id); again == 0 {
			t.Error("it is not retried")
		}
		w.wantState(id, catalog.MailQueued)
	})
	t.Run("after they were deleted", func(t *testing.T) {
		t.Parallel()
		if again := setup(t).send(uuid.New()); again != 0 {
			t.Errorf("it is called again after %s", again)
		}
	})
}

func TestAnOperatorResends(t *testing.T) {
	t.Parallel()
	w := setup(t)
	id := w.activation()
	if err := w.mail.Resend(t.Context(), id); err == nil {
		t.Error("a mail that waits was queued again")
	}
	w.server.Fail(failing(mailtest.Text, mailtest.Reply{HangUp: true}))
	w.send(id)
	w.wantState(id, catalog.MailUnknown)
	w.server.Fail(nil)
	if err := w.mail.Resend(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if jobs := w.queue.jobs; len(jobs) != 2 || jobs[1] != id {
		t.Errorf("the jobs are %v", jobs)
	}
	w.send(id)
	w.wantState(id, catalog.MailSent)
	w.wantMessages(1)
}

func TestOldMailsAreDeleted(t *testing.T) {
	t.Parallel()
	w := setup(t)
	old, young, waiting := w.activation(), w.activation(), w.activation()
	w.send(old)
	w.send(young)
	w.exec(`update mails set created_at = now() - interval '31 days' where id = any($1)`, []uuid.UUID{old, waiting})
	if _, err := w.catalog.DeleteOld(t.Context(), catalog.MailsTable, 30*24*time.Hour, 10); err != nil {
		t.Fatal(err)
	}
	w.wantState(young, catalog.MailSent)
	w.wantState(waiting, catalog.MailQueued)
	if _, err := w.catalog.MailByID(t.Context(), old); err == nil || !strings.Contains(err.Error(), "not found") {
		t.Errorf("the old one: %v", err)
	}
}
