package jobs_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"homeroom/internal/jobs"
)

// envWorker makes the test binary a worker on the database that it names: see [runWorker].
const envWorker = "JOBS_TEST_WORKER_URL"

// hangingMailer reports that it has begun to send, and never returns.
type hangingMailer struct{ pool *pgxpool.Pool }

// Send implements [jobs.Mailer].
func (h hangingMailer) Send(ctx context.Context, mail uuid.UUID) (time.Duration, error) {
	if _, err := h.pool.Exec(ctx, "select pg_notify('sending', $1)", mail.String()); err != nil {
		return 0, err
	}
	select {}
}

// runWorker works on jobs until the process is killed.
func runWorker(url string) error {
	ctx := context.Background()
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		return err
	}
	runner, err := jobs.NewRunner(pool, jobs.Handlers{Mails: hangingMailer{pool}}, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	if err := runner.Start(ctx); err != nil {
		return err
	}
	select {}
}

// channelMailer passes on the mails that it is asked to send.
type channelMailer chan uuid.UUID

// Send implements [jobs.Mailer].
func (c channelMailer) Send(_ context.Context, mail uuid.UUID) (time.Duration, error) {
	c <- mail
	return 0, nil
}

func TestAJobOfAKilledWorkerRunsOnceMore(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	pool, url := migrated(t)
	listener := listen(t, url, "sending")
	mail := uuid.New()
	addMail(ctx, t, pool, mail)
	killWorkerWhileSending(ctx, t, url, listener, mail)
	// River rescues after minutes; the runners here need only an attempt that is some seconds old.
	if _, err := pool.Exec(ctx, "update river.river_job set attempted_at = now() - interval '1 minute'"); err != nil {
		t.Fatal(err)
	}

	sent := make(channelMailer, 10)
	var runners []*jobs.Runner
	for range 2 {
		runner, err := jobs.NewRunner(pool, jobs.Handlers{Mails: sent}, slog.New(slog.DiscardHandler))
		if err == nil {
			err = runner.Start(ctx)
		}
		if err != nil {
			t.Fatal(err)
		}
		runners = append(runners, runner)
	}
	select {
	case got := <-sent:
		if got != mail {
			t.Errorf("mail %s is sent, want %s", got, mail)
		}
	case <-ctx.Done():
		t.Fatal("the job of the killed worker does not run again")
	}
	for _, runner := range runners {
		if err := runner.Stop(ctx); err != nil {
			t.Error(err)
		}
	}
	var outcome string
	err := pool.QueryRow(ctx, "select string_agg(state || ' after ' || attempt || ' attempts', ', ') from river.river_job").Scan(&outcome)
	if err != nil || outcome != "completed after 2 attempts" || len(sent) != 0 {
		t.Errorf("the job is %q, %v, and %d mails are sent again; want it completed after 2 attempts", outcome, err, len(sent))
	}
}

func TestAJobOfARolledBackTransactionDoesNotExist(t *testing.T) {
	t.Parallel()
	pool, _ := migrated(t)
	queue, err := jobs.NewQueue(pool)
	if err != nil {
		t.Fatal(err)
	}
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := queue.SendMailTx(t.Context(), tx, uuid.New()); err != nil {
		t.Fatal(err)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	unfinished, err := jobs.ListUnfinished(t.Context(), pool)
	if err != nil || len(unfinished) != 0 {
		t.Errorf("unfinished jobs are %+v, %v; want none", unfinished, err)
	}
	addMail(t.Context(), t, pool, uuid.New())
	unfinished, err = jobs.ListUnfinished(t.Context(), pool)
	if err != nil || len(unfinished) != 1 || unfinished[0].Kind != "send_mail" || unfinished[0].Stuck {
		t.Errorf("unfinished jobs are %+v, %v; want one that sends a mail", unfinished, err)
	}
}

// addMail inserts the job of a mail.
func addMail(ctx context.Context, t *testing.T, pool *pgxpool.Pool, mail uuid.UUID) {
	t.Helper()
	queue, err := jobs.NewQueue(pool)
	if err != nil {
		t.Fatal(err)
	}
	err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error { return queue.SendMailTx(ctx, tx, mail) })
	if err != nil {
		t.Fatal(err)
	}
}

// killWorkerWhileSending starts a worker process, and kills it by SIGKILL when it has begun to send the mail.
func killWorkerWhileSending(ctx context.Context, t *testing.T, url string, listener *pgx.Conn, mail uuid.UUID) {
	t.Helper()
	worker := exec.CommandContext(ctx, os.Args[0])
	worker.Env = append(os.Environ(), envWorker+"="+url)
	worker.Stderr = os.Stderr
	if err := worker.Start(); err != nil {
		t.Fatal(err)
	}
	notification, err := listener.WaitForNotification(ctx)
	_ = worker.Process.Kill()
	_ = worker.Wait() // always an error: it was killed
	if err != nil {
		t.Fatal(fmt.Errorf("wait for the worker: %w", err))
	}
	if notification.Payload != mail.String() {
		t.Fatalf("the worker sends mail %s, want %s", notification.Payload, mail)
	}
}
