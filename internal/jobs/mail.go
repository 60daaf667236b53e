package jobs

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
)

// mailsQueue is a queue of its own: a slow mail server must not delay sign-ups.
const mailsQueue = "mails"

// mailWorkers is the number of parallel connections to the mail server per process. Providers allow few.
const mailWorkers = 4

// SendMail sends a mail.
type SendMail struct {
	MailID uuid.UUID `json:"mail_id"`
}

// Kind implements river.JobArgs.
func (SendMail) Kind() string { return "send_mail" }

// Mailer sends mails. The package mail implements it.
type Mailer interface {
	// Send sends a mail, unless it is sent already. It returns the time until the next call; 0 means none.
	Send(ctx context.Context, mail uuid.UUID) (retryAfter time.Duration, err error)
}

// SendMailTx inserts a job that sends a mail soon after the transaction has committed.
func (q *Queue) SendMailTx(ctx context.Context, tx pgx.Tx, mail uuid.UUID) error {
	_, err := q.client.InsertTx(ctx, tx, SendMail{MailID: mail}, &river.InsertOpts{Queue: mailsQueue, MaxAttempts: 100})
	if err != nil {
		return fmt.Errorf("queue mail %s: %w", mail, err)
	}
	return nil
}

// addMails adds the worker that calls the mailer.
func addMails(work *work, pool *pgxpool.Pool, mailer Mailer) {
	work.queues[mailsQueue] = river.QueueConfig{MaxWorkers: mailWorkers}
	river.AddWorker(work.workers, river.WorkFunc(func(ctx context.Context, job *river.Job[SendMail]) error {
		var retryAfter time.Duration
		err := withJobLock(ctx, pool, job.ID, func() (err error) {
			retryAfter, err = mailer.Send(ctx, job.Args.MailID)
			return err
		})
		if err == nil && retryAfter > 0 {
			return river.JobSnooze(retryAfter)
		}
		return err
	}))
}
