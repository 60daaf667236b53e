package mail_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"homeroom/catalog"
	"homeroom/internal/jobs"
	"homeroom/mail"
	"homeroom/mail/mailtest"
)

// From an event to a mail, with the program's own relay and jobs.
func TestAnEventBecomesAMail(t *testing.T) {
	t.Parallel()
	var queue *jobs.Queue
	w := setup(t, func(cfg *mail.Config) {
		if err := jobs.Migrate(t.Context(), cfg.Catalog.Pool()); err != nil {
			t.Fatal(err)
		}
		var err error
		if queue, err = jobs.NewQueue(cfg.Catalog.Pool()); err != nil {
			t.Fatal(err)
		}
		cfg.Queue = queue
	})
	relay, err := jobs.NewRelay(jobs.RelayConfig{Catalog: w.catalog, FanOuts: []jobs.FanOut{w.mail.FanOutTx}})
	if err != nil {
		t.Fatal(err)
	}
	runner, err := jobs.NewRunner(w.catalog.Pool(), jobs.Handlers{Mails: w.mail}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	taken := make(chan struct{}, 1)
	w.server.Fail(func(stage mailtest.Stage) mailtest.Reply {
		if stage == mailtest.Text {
			taken <- struct{}{}
		}
		return mailtest.Reply{}
	})
	data, err := json.Marshal(catalog.Notification{Email: "ada@lincoln.example", Locale: "fr"})
	if err != nil {
		t.Fatal(err)
	}
	event := notice(catalog.SignupAwaitingVerification, catalog.Notification{})
	event.Data = data
	if err := w.catalog.Emit(t.Context(), event); err != nil {
		t.Fatal(err)
	}
	if n, err := relay.Drain(t.Context()); err != nil || n != 1 {
		t.Fatalf("%d events were relayed: %v", n, err)
	}
	if err := runner.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case <-taken:
	case <-time.After(time.Minute):
		t.Error("the mail was not sent")
	}
	stopping, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := runner.Stop(stopping); err != nil {
		t.Fatal(err)
	}
	if l := parse(t, w.wantMessages(1)[0].Raw); l.subject != "Veuillez confirmer votre adresse e-mail" {
		t.Errorf("the subject is %q", l.subject)
	}
	var state string
	if err := w.catalog.Pool().QueryRow(t.Context(), `select state from mails`).Scan(&state); err != nil || state != "sent" {
		t.Errorf("the mail is %s: %v", state, err)
	}
}
