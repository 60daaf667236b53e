package jobs_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"homeroom/internal/jobs"
	"homeroom/internal/pgtest"
)

// sentMails reports the mails that it is to send.
type sentMails chan uuid.UUID

// Send implements [jobs.Mailer].
func (s sentMails) Send(_ context.Context, mail uuid.UUID) (time.Duration, error) {
	s <- mail
	return 0, nil
}

func openPool(t *testing.T, url string) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

func TestProcessesThatStartTogetherMigrateTheQueue(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	errs := make([]error, 3)
	var group sync.WaitGroup
	for i := range errs {
		pool := openPool(t, url)
		group.Go(func() { errs[i] = jobs.Migrate(t.Context(), pool) })
	}
	group.Wait()
	for _, err := range append(errs, jobs.Migrate(t.Context(), openPool(t, url))) {
		if err != nil {
			t.Error(err)
		}
	}
}

// A process has died with a job, and another one still works on a job that is as old: too young for River's own rescue.
func TestAJobWhoseProcessHasDiedIsDoneAgain(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	pool := openPool(t, url)
	if err := jobs.Migrate(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	insert := func() (mail uuid.UUID, job int64) {
		mail = uuid.New()
		err := pool.QueryRow(t.Context(), `
			insert into river.river_job (kind, queue, args, max_attempts, state, attempt, attempted_at, attempted_by)
			values ('send_mail', 'mails', jsonb_build_object('mail_id', $1::uuid), 100, 'running', 1, now() - interval '1 minute', '{dead}')
			returning id`, mail).Scan(&job)
		if err != nil {
			t.Fatal(err)
		}
		return mail, job
	}
	_, locked := insert()
	abandoned, _ := insert()
	worker, err := openPool(t, url).Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer worker.Release()
	if _, err := worker.Exec(t.Context(), "select pg_advisory_lock(hashtextextended('homeroom job ' || $1::bigint, 0))", locked); err != nil {
		t.Fatal(err)
	}
	sent := make(sentMails, 2)
	runner, err := jobs.NewRunner(pool, jobs.Handlers{Mails: sent}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := runner.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case mail := <-sent:
		if mail != abandoned {
			t.Errorf("mail %s was sent, want %s", mail, abandoned)
		}
	case <-t.Context().Done():
		t.Fatal("no mail was sent")
	}
	if err := runner.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	var state string
	if err := pool.QueryRow(t.Context(), "select state from river.river_job where id = $1", locked).Scan(&state); err != nil || state != "running" {
		t.Errorf("the locked job is %s, %v", state, err)
	}
	if len(sent) != 0 {
		t.Error("the locked job was done again")
	}
}
