package mail

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"homeroom/catalog"
)

const (
	// leaseBefore is the lease of a worker until it sends the text, leaseText that for the text. Both are longer than
	// the timeouts of the connection, so that the lease of a running worker does not expire.
	leaseBefore = envelopeTimeout + time.Minute
	leaseText   = textTimeout + time.Minute
	// retryFor is how long after its event a mail is retried.
	retryFor = 24 * time.Hour
	// writeTimeout limits the recording of an outcome, which is done even if the process is asked to stop.
	writeTimeout = 10 * time.Second
)

// retryDelays are the delays between attempts; the last is repeated.
var retryDelays = []time.Duration{
	30 * time.Second, 2 * time.Minute, 5 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour,
}

// Send sends a mail, unless that is done. again is the delay until it must be called again; 0 means never. An error is
// the catalog's.
func (s *Service) Send(ctx context.Context, id uuid.UUID) (again time.Duration, err error) {
	m, err := s.cfg.Catalog.LeaseMail(ctx, id, leaseBefore)
	if errors.Is(err, catalog.ErrStateChanged) {
		return s.recheck(ctx, id)
	}
	if err != nil {
		return 0, err
	}
	outcome := s.deliver(ctx, m)
	if outcome.err != nil && errors.Is(outcome.err, catalog.ErrStateChanged) {
		return 0, nil // the lease has expired, and another worker has the mail
	}
	return s.recordOutcome(ctx, m, outcome)
}

// recheck handles a mail that cannot be leased: one that another worker has is checked again later, and one whose worker has died
// while it sent the text is not sent again.
func (s *Service) recheck(ctx context.Context, id uuid.UUID) (time.Duration, error) {
	if _, err := s.cfg.Catalog.MarkMailsUnknown(ctx); err != nil {
		return 0, err
	}
	m, err := s.cfg.Catalog.MailByID(ctx, id)
	switch {
	case errors.Is(err, catalog.ErrNotFound):
		return 0, nil // deleted
	case err != nil:
		return 0, err
	case m.State == catalog.MailQueued || m.State == catalog.MailSending:
		return retryDelays[0], nil
	}
	return 0, nil
}

// outcome is the result of an attempt.
type outcome struct {
	state catalog.MailState
	err   error
}

// deliver composes and sends a mail. It sends no text before the row is marked as being sent.
func (s *Service) deliver(ctx context.Context, m catalog.Mail) outcome {
	text, err := s.Compose(ctx, m)
	if err != nil {
		return notSent(err, errors.Is(err, errPermanent))
	}
	c, err := s.server.open(ctx)
	if err != nil {
		return notSent(err, false)
	}
	defer c.close()
	if err := c.address(s.from.Address, m.Recipient); err != nil {
		return notSent(err, isPermanent(err))
	}
	if err := s.cfg.Catalog.StartSending(ctx, m, leaseText); err != nil {
		return notSent(err, false)
	}
	err = c.sendText(text)
	switch {
	case err == nil:
		return outcome{state: catalog.MailSent}
	case errors.Is(err, errNoReply):
		return outcome{catalog.MailUnknown, err}
	}
	return notSent(err, isPermanent(err))
}

// notSent is the outcome of an attempt that has certainly not sent the mail.
func notSent(err error, final bool) outcome {
	if final {
		return outcome{catalog.MailFailed, err}
	}
	return outcome{catalog.MailQueued, err}
}

// isPermanent reports whether an error is a permanent refusal by the mail server.
func isPermanent(err error) bool {
	code := replyCode(err)
	return code >= 500 && !isAuthFailure(code)
}

// recordOutcome records the outcome of an attempt, even if the process was asked to stop meanwhile.
func (s *Service) recordOutcome(ctx context.Context, m catalog.Mail, o outcome) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	problem := ""
	if o.err != nil {
		problem = s.server.describeError(o.err)
	}
	pause := retryDelays[min(m.Attempts, len(retryDelays))-1]
	if o.state == catalog.MailQueued && m.ReadAt.Add(pause).After(m.CreatedAt.Add(retryFor)) {
		o.state = catalog.MailFailed
	}
	log := s.cfg.Logger.With("mail", m.ID, "kind", m.Kind, "attempt", m.Attempts)
	switch o.state {
	case catalog.MailSent:
		log.Info("mail sent")
	case catalog.MailQueued:
		log.Warn("mail not sent yet", "again", pause, "error", problem)
		return pause, s.cfg.Catalog.RequeueMail(ctx, m, problem)
	default:
		log.Error("mail not sent", "state", o.state, "error", problem)
	}
	return 0, s.cfg.Catalog.FinishMail(ctx, m, o.state, problem)
}
