package mail

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"homeroom/catalog"
)

const (
	// leaseBefore is how long a holder has until the text is to be handed over, leaseText how long the text may take. Both are
	// above what the connection is given, so that nobody takes a mail from a holder who lives.
	leaseBefore = envelopeTimeout + time.Minute
	leaseText   = textTimeout + time.Minute
	// retryFor is how long after its event a mail is tried.
	retryFor = 24 * time.Hour
	// writeTimeout bounds the writing of what has become of a mail, which goes on when the process is asked to stop.
	writeTimeout = 10 * time.Second
)

// pauses lie between attempts; the last is repeated.
var retryDelays = []time.Duration{
	30 * time.Second, 2 * time.Minute, 5 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour,
}

// Send sends a mail, if that is still to be done. again is when it is to be called again; 0 is never. An error means that the
// registry cannot be asked now.
func (s *Service) Send(ctx context.Context, id uuid.UUID) (again time.Duration, err error) {
	m, err := s.cfg.Catalog.HoldMail(ctx, id, leaseBefore)
	if errors.Is(err, catalog.ErrStateChanged) {
		return s.recheck(ctx, id)
	}
	if err != nil {
		return 0, err
	}
	outcome := s.deliver(ctx, m)
	if outcome.err != nil && errors.Is(outcome.err, catalog.ErrStateChanged) {
		return 0, nil // somebody else has it, since we were too slow
	}
	return s.write(ctx, m, outcome)
}

// held looks after a mail that cannot be taken: one that another holds is looked at again, and one whose holder has died
// while its text was on its way is lost.
func (s *Service) recheck(ctx context.Context, id uuid.UUID) (time.Duration, error) {
	if _, err := s.cfg.Catalog.LoseMails(ctx); err != nil {
		return 0, err
	}
	m, err := s.cfg.Catalog.MailByID(ctx, id)
	switch {
	case errors.Is(err, catalog.ErrNotFound):
		return 0, nil // forgotten
	case err != nil:
		return 0, err
	case m.State == catalog.MailQueued || m.State == catalog.MailSending:
		return retryDelays[0], nil
	}
	return 0, nil
}

// outcome is what has become of an attempt.
type outcome struct {
	state catalog.MailState
	err   error
}

// deliver makes a mail and hands it over. Nothing of its text leaves before the row says that it is being sent.
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
	if err := s.cfg.Catalog.MailSending(ctx, m, leaseText); err != nil {
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

// settle is the outcome of an attempt that has surely not sent anything.
func notSent(err error, final bool) outcome {
	if final {
		return outcome{catalog.MailFailed, err}
	}
	return outcome{catalog.MailQueued, err}
}

// refuses tells answers that stay the same however often one asks.
func isPermanent(err error) bool {
	code := replyCode(err)
	return code >= 500 && !isAuthFailure(code)
}

// write says what has become of a mail, even when the process has been asked to stop meanwhile.
func (s *Service) write(ctx context.Context, m catalog.Mail, o outcome) (time.Duration, error) {
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
		return pause, s.cfg.Catalog.MailAgain(ctx, m, problem)
	default:
		log.Error("mail not sent", "state", o.state, "error", problem)
	}
	return 0, s.cfg.Catalog.MailEnded(ctx, m, o.state, problem)
}
