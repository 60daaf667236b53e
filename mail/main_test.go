package mail_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"homeroom/catalog"
	"homeroom/internal/pgtest"
	"homeroom/internal/secret"
	"homeroom/mail"
	"homeroom/mail/mailtest"
)

func TestMain(m *testing.M) {
	if os.Getenv(childURL) != "" {
		child()
		return
	}
	pgtest.Main(m)
}

// token is in every link, and must be nowhere else.
const token = "canary-7a1f3c"

// links returns the links of a service that does not exist.
type links struct {
	noPassword error
	none       bool
}

func (l links) to(path string) string {
	if l.none {
		return ""
	}
	return "https://lincoln.example" + path + "?token=" + token
}

func (l links) Activation(id uuid.UUID) string { return l.to("/activate/" + id.String()) }
func (l links) Invitation(id uuid.UUID) string { return l.to("/invitations/" + id.String()) }
func (l links) Login() string                  { return l.to("/login") }
func (l links) PasswordSet(_ context.Context, id uuid.UUID) (string, error) {
	return l.to("/password/" + id.String()), l.noPassword
}

// queue records the jobs.
type queue struct {
	mu   sync.Mutex
	jobs []uuid.UUID
}

func (q *queue) SendMailTx(_ context.Context, _ pgx.Tx, id uuid.UUID) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.jobs = append(q.jobs, id)
	return nil
}

// testEnv is a service with a catalog and a mail server.
type testEnv struct {
	t       *testing.T
	url     string
	catalog *catalog.Store
	queue   *queue
	server  *mailtest.Server
	mail    *mail.Service
	log     *bytes.Buffer
}

func setup(t *testing.T, change ...func(*mail.Config)) *testEnv {
	t.Helper()
	w := &testEnv{t: t, queue: &queue{}, log: &bytes.Buffer{}}
	w.url = pgtest.Clone(t, "mails", func(ctx context.Context, url string) error {
		store, err := catalog.Open(ctx, catalog.Config{URL: url})
		if err == nil {
			store.Close()
		}
		return err
	})
	var err error
	if w.catalog, err = catalog.Open(t.Context(), catalog.Config{URL: w.url}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.catalog.Close)
	if w.server, err = mailtest.Listen("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.server.Close() })
	cfg := config(w.catalog, w.queue, w.server.URL())
	cfg.Logger = slog.New(slog.NewTextHandler(w.log, nil))
	for _, f := range change {
		f(&cfg)
	}
	if w.mail, err = mail.New(cfg); err != nil {
		t.Fatal(err)
	}
	return w
}

func config(store *catalog.Store, q mail.Queue, url string) mail.Config {
	return mail.Config{
		Catalog: store, Queue: q, Links: links{}, URL: secret.String(url), From: "no-reply@lincoln.example", Product: "Homeroom",
	}
}

// notice returns an event about a sign-up.
func notice(kind string, n catalog.Notification) catalog.OutboxEvent {
	data, err := json.Marshal(n)
	if err != nil {
		panic(err) // only strings and times
	}
	signup := uuid.New()
	return catalog.OutboxEvent{ID: uuid.New(), Type: kind, SignupID: &signup, Data: data}
}

// fanOut processes events, and returns their jobs.
func (w *testEnv) fanOut(events ...catalog.OutboxEvent) []uuid.UUID {
	w.t.Helper()
	before := len(w.queue.jobs)
	err := w.catalog.InTx(w.t.Context(), func(tx pgx.Tx) error { return w.mail.FanOutTx(w.t.Context(), tx, events) })
	if err != nil {
		w.t.Fatal(err)
	}
	return w.queue.jobs[before:]
}

// write composes the mail of a kind.
func (w *testEnv) write(kind mail.Kind, event catalog.OutboxEvent) uuid.UUID {
	w.t.Helper()
	before := len(w.queue.jobs)
	err := w.catalog.InTx(w.t.Context(), func(tx pgx.Tx) error { return w.mail.EnqueueTx(w.t.Context(), tx, kind, event) })
	if err != nil {
		w.t.Fatal(err)
	}
	if len(w.queue.jobs) != before+1 {
		w.t.Fatalf("%d jobs", len(w.queue.jobs)-before)
	}
	return w.queue.jobs[before]
}

// activation returns the mail of a new event.
func (w *testEnv) activation() uuid.UUID {
	w.t.Helper()
	jobs := w.fanOut(notice(catalog.SignupAwaitingVerification, catalog.Notification{Email: "ada@lincoln.example"}))
	if len(jobs) != 1 {
		w.t.Fatalf("%d jobs", len(jobs))
	}
	return jobs[0]
}

func (w *testEnv) send(id uuid.UUID) (again time.Duration) {
	w.t.Helper()
	again, err := w.mail.Send(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return again
}

// wantState checks the state of a mail.
func (w *testEnv) wantState(id uuid.UUID, state catalog.MailState) catalog.Mail {
	w.t.Helper()
	m, err := w.catalog.MailByID(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	if m.State != state {
		w.t.Fatalf("the mail is %s, not %s: %v", m.State, state, m.Problem)
	}
	return m
}

// exec changes the catalog directly.
func (w *testEnv) exec(sql string, args ...any) {
	w.t.Helper()
	if _, err := w.catalog.Pool().Exec(w.t.Context(), sql, args...); err != nil {
		w.t.Fatal(err)
	}
}

// wantMessages checks how many mails the server has accepted.
func (w *testEnv) wantMessages(want int) []mailtest.Message {
	w.t.Helper()
	all := w.server.Messages()
	if len(all) != want {
		w.t.Fatalf("the server has accepted %d mails, not %d", len(all), want)
	}
	return all
}

var errElsewhere = errors.New("the identity provider is down")
