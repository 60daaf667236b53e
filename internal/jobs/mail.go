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

// mailsQueue is a queue of its own: a mail server that is slow to answer must not keep schools waiting.
const mailsQueue = "mails"

// mailWorkers is how many connections to the mail server a process has. Providers allow a handful.
const mailWorkers = 4

// SendMail sends a mail.
type SendMail struct {
	MailID uuid.UUID `json:"mail_id"`
}

// Kind implements river.JobArgs.
func (SendMail) Kind() string { return "send_mail" }

// Mailer sends mails: the package mail does.
type Mailer interface {
	// Send sends a mail, if that is still to be done, and tells when it is to be called again; 0 is never.
	Send(ctx context.Context, mail uuid.UUID) (retryAfter time.Duration, err error)
}

// SendMailTx has a mail sent soon after the transaction has committed.
func (q *Queue) SendMailTx(ctx context.Context, tx pgx.Tx, mail uuid.UUID) error {
	_, err := q.client.InsertTx(ctx, tx, SendMail{MailID: mail}, &river.InsertOpts{Queue: mailsQueue, MaxAttempts: 100})
	if err != nil {
		return fmt.Errorf("queue mail %s: %w", mail, err)
	}
	return nil
}

// addMails has the mailer called, which tells when there is more to do.
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
