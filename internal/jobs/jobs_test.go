package jobs_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"homeroom/internal/jobs"
	"homeroom/internal/pgtest"
)

func TestMain(m *testing.M) {
	if url := os.Getenv(envWorker); url != "" {
		fmt.Fprintln(os.Stderr, runWorker(url))
		os.Exit(1)
	}
	pgtest.Main(m)
}

// migrated returns a database with the job queue's tables, and its address.
func migrated(t *testing.T) (*pgxpool.Pool, string) {
	t.Helper()
	url := pgtest.Database(t)
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	if err := jobs.Migrate(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	return pool, url
}

// listen returns a connection that listens on a channel.
func listen(t *testing.T, url, channel string) *pgx.Conn {
	t.Helper()
	conn := pgtest.Connect(t, url)
	if _, err := conn.Exec(t.Context(), "listen "+channel); err != nil {
		t.Fatal(err)
	}
	return conn
}

// noMails is a [jobs.Mailer] without mails.
type noMails struct{}

// Send implements [jobs.Mailer].
func (noMails) Send(context.Context, uuid.UUID) (time.Duration, error) { return 0, nil }

func TestFinishedJobsAreDeleted(t *testing.T) {
	t.Parallel()
	pool, url := migrated(t)
	listener := listen(t, url, "deleted")
	_, err := pool.Exec(t.Context(), `
		create function notify_deleted() returns trigger language plpgsql as
			'begin if exists (select from deleted_rows) then notify deleted; end if; return null; end';
		create trigger notify_deleted after delete on river.river_job referencing old table as deleted_rows for each statement execute function notify_deleted();
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
