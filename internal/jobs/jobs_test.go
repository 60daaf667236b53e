package jobs_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"homeroom/internal/jobs"
	"homeroom/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// noMails has no mail to send.
type noMails struct{}

// Send implements [jobs.Mailer].
func (noMails) Send(context.Context, uuid.UUID) (time.Duration, error) { return 0, nil }

func TestFinishedJobsAreDeleted(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	if err := jobs.Migrate(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	listener, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close(context.WithoutCancel(t.Context())) }()
	if _, err := listener.Exec(t.Context(), "listen deleted"); err != nil {
		t.Fatal(err)
	}
	_, err = pool.Exec(t.Context(), `
		create function tell() returns trigger language plpgsql as
			'begin if exists (select from gone) then notify deleted; end if; return null; end';
		create trigger tell after delete on river.river_job referencing old table as gone for each statement execute function tell();
		insert into river.river_job (kind, queue, args, max_attempts, state, finalized_at)
		select kind, 'mails', '{}', 1, state::river.river_job_state, now() - ago::interval
		from (values ('old', 'completed', '25 hours'), ('old', 'cancelled', '25 hours'), ('old', 'discarded', '8 days'),
			('young', 'completed', '23 hours'), ('young', 'cancelled', '23 hours'), ('young', 'discarded', '6 days'),
			('waits', 'pending', null)) as row (kind, state, ago)`)
	if err != nil {
		t.Fatal(err)
	}
	runner, err := jobs.NewRunner(pool, jobs.Handlers{Mails: noMails{}}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := runner.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := listener.WaitForNotification(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := runner.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	var left string
	if err := pool.QueryRow(t.Context(), `select string_agg(kind, ' ' order by id) from river.river_job`).Scan(&left); err != nil || left != "young young young waits" {
		t.Errorf("%q are left, %v", left, err)
	}
}
