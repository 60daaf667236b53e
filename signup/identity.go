package signup

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"homeroom/catalog"
	"homeroom/identity"
	"homeroom/internal/killpoint"
	"homeroom/internal/wait"
)

// ensureIdentity creates the account, finds the account that an attempt with a lost answer has created, or links the
// account that the person has.
func (s *Service) ensureIdentity(ctx context.Context, req Request, j *job, lookupFirst bool) (identity.User, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.IdentityTimeout)
	defer cancel()
	if err := s.prepare(ctx); err != nil {
		j.outcomeUnknown = lookupFirst
		return identity.User{}, outcomeUnknownIf(err, lookupFirst)
	}
	if j.signup.IdentityID != nil {
		return s.linkIdentity(ctx, j)
	}
	return s.createIdentity(ctx, req, j, lookupFirst)
}

// createIdentity creates the account, or finds it. It always looks for the account before it sends another create.
func (s *Service) createIdentity(ctx context.Context, req Request, j *job, lookupFirst bool) (identity.User, error) {
	user := identity.NewUser{
		ID: j.signup.UserID, Email: req.Email, Password: req.Password, Person: identity.Person(req.Person),
		Metadata: j.metadata(), EmailVerified: j.verified,
	}
	doubt := func(err error) error { return err }
	if lookupFirst {
		doubt, j.outcomeUnknown = asOutcomeUnknown, true // an earlier create may still take effect, whatever a later answer says
	}
	for attempt := 1; ; attempt++ {
		if lookupFirst {
			found, err := s.lookupOwn(ctx, j.signup)
			if !errors.Is(err, identity.ErrNotFound) {
				return found, asOutcomeUnknown(err)
			}
		}
		killpoint.Here("signup.identity_wanted")
		made, err := s.cfg.Identity.Create(ctx, user)
		if errors.Is(err, identity.ErrExists) {
			found, lookupErr := s.lookupOwn(ctx, j.signup)
			if !errors.Is(lookupErr, identity.ErrNotFound) {
				return found, asOutcomeUnknown(lookupErr)
			}
			removed, lookupErr := s.removeLeftover(ctx, req.Email, j.signup)
			if removed && attempt < 3 {
				continue
			}
			if lookupErr != nil {
				return identity.User{}, doubt(lookupErr)
			}
			return identity.User{}, err // the account belongs to somebody else
		}
		if !identity.OutcomeUnknown(err) || attempt == 3 {
			j.created = err == nil
			return made, doubt(err)
		}
		s.cfg.Logger.Warn("the answer to a create was lost; looking for the identity", "signup", j.signup.ID, "error", err)
		lookupFirst, doubt, j.outcomeUnknown = true, asOutcomeUnknown, true
		if wait.For(ctx, time.Duration(attempt)*200*time.Millisecond) != nil {
			return made, err
		}
	}
}

// removeLeftover removes the identity that a sign-up of ours left at the provider after it had expired, when the
// reconciler has not removed it yet. It also returns true when the identity has just been removed. Any other identity
// with this e-mail is a person's account and stays. An identity that another worker has just created for this sign-up
// stays too; the next attempt finds it.
func (s *Service) removeLeftover(ctx context.Context, email string, signup catalog.Signup) (removed bool, err error) {
	users, err := s.cfg.Identity.LookupEmail(ctx, email)
	if err != nil {
		return false, err
	}
	if len(users) == 0 {
		return true, nil
	}
	for _, user := range users {
		if user.OurID == signup.UserID {
			return true, nil
		}
		row, err := s.signupOf(ctx, user)
		if err != nil || row.Status != catalog.Expired || row.IdentityID != nil {
			continue // it was not created by us
		}
		own, err := s.lookupOwn(ctx, row)
		if errors.Is(err, identity.ErrNotFound) {
			return true, nil // somebody else has just removed it
		}
		if err != nil || own.ID != user.ID {
			continue
		}
		s.cfg.Logger.Warn("removing an identity that was left by an expired sign-up", "signup", row.ID)
		err = s.removeIdentity(ctx, row)
		killpoint.Here("signup.leftover_removed")
		return true, err
	}
	return false, nil
}

// signupOf finds the sign-up that created an account, by the account's metadata.
func (s *Service) signupOf(ctx context.Context, user identity.User) (catalog.Signup, error) {
	if !identity.SupportsMetadata(s.cfg.Identity) {
		return s.cfg.Catalog.SignupByUser(ctx, user.OurID)
	}
	id, err := uuid.Parse(user.Metadata.SignupID)
	if err != nil {
		return catalog.Signup{}, errNotOurs
	}
	return s.cfg.Catalog.Signup(ctx, id)
}

// prepare lets the provider look up what it needs for the membership, before anything is created.
func (s *Service) prepare(ctx context.Context) error {
	memberships, ok := identity.MembershipManagerOf(s.cfg.Identity)
	if !ok {
		return nil
	}
	return memberships.Prepare(ctx)
}

// outcomeUnknownIf returns the error of a failure after an earlier attempt that may have created the identity.
func outcomeUnknownIf(err error, doubt bool) error {
	if doubt {
		return asOutcomeUnknown(err)
	}
	return err
}

// asOutcomeUnknown turns a failure that says nothing about an earlier attempt into an unknown outcome: the identity may
// exist. The caller still gets a refusal of the e-mail or the password.
func asOutcomeUnknown(err error) error {
	var rejected *identity.Rejected
	if err == nil || errors.Is(err, errNotOurs) || identity.OutcomeUnknown(err) || errors.As(err, &rejected) {
		return err
	}
	return &identity.Unavailable{Unknown: true, RetryAfter: identity.RetryAfter(err), Err: err}
}

// errNotOurs says that the identity with our id does not have our sign-up's id in its metadata: somebody has changed
// it, or has chosen the same id. It is neither linked nor deleted.
var errNotOurs = errors.New("the identity with our id does not carry our sign-up's id")

// lookupOwn finds the identity that this sign-up created or linked.
func (s *Service) lookupOwn(ctx context.Context, signup catalog.Signup) (identity.User, error) {
	found, err := s.find(ctx, signup)
	if err != nil {
		return identity.User{}, err
	}
	if identity.SupportsMetadata(s.cfg.Identity) && found.Metadata.SignupID != signup.ID.String() {
		return identity.User{}, errNotOurs
	}
	return found, nil
}

func (s *Service) find(ctx context.Context, signup catalog.Signup) (identity.User, error) {
	if signup.IdentityID == nil {
		return s.cfg.Identity.Lookup(ctx, signup.UserID)
	}
	linker, ok := s.cfg.Identity.(identity.AccountLinker)
	if !ok {
		return identity.User{}, ErrCannotLink
	}
	return linker.Find(ctx, *signup.IdentityID)
}

// identityFailed ends a sign-up whose identity step failed. It undoes the sign-up when certainly no identity was
// created, leaves it to the reconciler when that is unknown, and to an operator when only a person can decide. It
// returns the error for the caller.
//
// A refusal after an attempt with an unknown outcome ends the sign-up too, since its caller will not send the same
// request again. But the refusal says nothing about that attempt, which may have had another password. So the sign-up
// expires, and is checked again later.
func (s *Service) identityFailed(ctx context.Context, j *job, cause error) error {
	var rejected *identity.Rejected
	problem, answer := "unavailable", identityUnavailable(cause)
	switch {
	case errors.Is(cause, errNotOurs):
		return s.leaveToOperator(ctx, j, cause)
	case identity.OutcomeUnknown(cause):
		// The provider may still create the identity. So the sign-up is decided only after the caller was asked to
		// retry.
		j.log.end("outcome_unknown")
		if err := s.cfg.Catalog.RetryLater(ctx, j.signup, j.log.json(), undecidedDelay); err != nil {
			s.cfg.Logger.Error("release a sign-up", "signup", j.signup.ID, "error", err)
		}
		killpoint.Here("signup.given_back")
		return answer
	case errors.Is(cause, identity.ErrExists):
		problem, answer = "email_exists", ErrEmailExists
	case errors.As(cause, &rejected):
		problem, answer = rejected.Code, rejected
	}
	j.log.end(problem)
	killpoint.Here("signup.refused")
	var err error
	if j.outcomeUnknown {
		err = s.cfg.Catalog.Expire(ctx, j.signup, j.log.json(), problemJSON(problem), recheckAfter)
		killpoint.Here("signup.refused_in_doubt")
	} else {
		err = s.cfg.Catalog.Undo(ctx, j.signup, j.log.json(), problemJSON(problem))
		killpoint.Here("signup.undone")
	}
	if err != nil {
		// The reconciler will find no identity, and then undo the sign-up.
		s.cfg.Logger.Error("undo a refused sign-up", "signup", j.signup.ID, "error", err)
	}
	return answer
}
