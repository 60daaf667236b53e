package signup

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"homeroom/catalog"
	"homeroom/identity"
	"homeroom/internal/killpoint"
)

var (
	// ErrEmailExists says that an account with this e-mail exists.
	ErrEmailExists = errors.New("an account with this e-mail exists")
	// ErrHasSchool says that the login belongs to somebody who has a school.
	ErrHasSchool = errors.New("this login has a school")
	// ErrClosed says that nobody can sign a school up.
	ErrClosed = errors.New("signing up is closed")
	// ErrInvitationRequired says that only who was invited can sign a school up.
	ErrInvitationRequired = errors.New("signing up needs an invitation")
	// ErrInvitationGone says that an invitation is not known, or was answered, taken back, or not answered in time.
	ErrInvitationGone = errors.New("the invitation is not open any more")
	// ErrLinkGone says that the link of a mail is not known, or was not followed in time.
	ErrLinkGone = errors.New("the link is not good any more")
	// ErrAccountRequired says that a sign-up is confirmed with the login that it was begun with.
	ErrAccountRequired = errors.New("the sign-up is confirmed with its login")
	// ErrOtherAccount says that a sign-up was begun with another login, or with none.
	ErrOtherAccount = errors.New("the sign-up was begun with another login")
	// ErrNotWaiting says that a sign-up does not wait for what was done.
	ErrNotWaiting = errors.New("the sign-up does not wait for this")
	// ErrCannotLink says that the identity provider cannot link existing accounts.
	ErrCannotLink = errors.New("this identity provider cannot take on a login that exists")
	// ErrNotAPerson says that a token is not a person's who could own a school, or that their login is gone.
	ErrNotAPerson = errors.New("the token is not of a person with an e-mail address")
	// ErrInProgress says that the same request is being worked on at this moment.
	ErrInProgress = errors.New("this sign-up is in progress")
	// ErrKeyReused says that the idempotency key was used for another request.
	ErrKeyReused = errors.New("the idempotency key belongs to another request")
	// ErrNeedsOperator says that the sign-up needs an operator.
	ErrNeedsOperator = errors.New("this sign-up needs an operator")
	// ErrNotProvisioned says that a tenant is not in a state in which it can be provisioned again.
	ErrNotProvisioned = errors.New("the tenant is being built or deleted")
	// ErrOtherSchema says that a tenant's schema comes from other migrations than this program has.
	ErrOtherSchema = errors.New("its schema comes from other migrations than this program has: look at HOMEROOM_TENANT_MIGRATIONS")
	// ErrMayNotInvite says that somebody may not invite people to a school, or that there is no such school.
	ErrMayNotInvite = errors.New("only the owner and the admins of a school may invite people to it")
	// ErrEmailUnconfirmed says that somebody has to confirm their own e-mail address first.
	ErrEmailUnconfirmed = errors.New("the caller's own e-mail address is not confirmed")
	// ErrWrongConfirmation says that a destructive request was not confirmed with the tenant's slug.
	ErrWrongConfirmation = errors.New("the confirmation is not the tenant's slug")
)

// needsOperatorError is [ErrNeedsOperator] with what the operator must know, and callers need not.
type needsOperatorError struct{ cause error }

func (e *needsOperatorError) Error() string { return ErrNeedsOperator.Error() + ": " + e.cause.Error() }

func (e *needsOperatorError) Is(target error) bool { return target == ErrNeedsOperator }

// TooManyMails says that an address has been written to as often as it may be for now.
type TooManyMails struct {
	// RetryAfter is how long until the next mail is allowed.
	RetryAfter time.Duration
}

// Error implements error.
func (e *TooManyMails) Error() string { return "the address has been sent several mails" }

// RateLimited says that the caller's address has begun as many sign-ups as it may for now.
type RateLimited struct {
	// RetryAfter is how long until the next is allowed.
	RetryAfter time.Duration
}

// Error implements error.
func (e *RateLimited) Error() string { return "too many sign-ups from this address" }

// BudgetExceeded says that the whole service takes no more sign-ups for now.
type BudgetExceeded struct {
	// RetryAfter is how long until the next is allowed.
	RetryAfter time.Duration
	// Limit names what is used up.
	Limit string
}

// Error implements error.
func (e *BudgetExceeded) Error() string { return e.Limit + " are used up" }

// IsRefusal reports whether an error of [Service.Begin] is a refusal of the request itself, for which nothing was made. Others are
// about something that does not work at this moment, and the sign-up may yet go on.
func IsRefusal(err error) bool {
	var invalid *ValidationError
	var rejected *identity.Rejected
	var mails *TooManyMails
	if errors.As(err, &invalid) || errors.As(err, &rejected) || errors.As(err, &mails) {
		return true
	}
	return slices.ContainsFunc([]error{
		ErrEmailExists, ErrHasSchool, ErrClosed, ErrInvitationRequired, ErrInvitationGone, ErrNotAPerson, ErrInProgress, ErrKeyReused,
		catalog.ErrNotFound,
	}, func(refusal error) bool { return errors.Is(err, refusal) })
}

// Unavailable says that something the sign-up needs cannot work now. The same request with the same key goes on later.
type Unavailable struct {
	// What is what is missing.
	What Dependency
	// RetryAfter is a sensible time to wait.
	RetryAfter time.Duration
	Err        error
}

// Dependency is something a sign-up needs.
type Dependency string

// The dependencies of a sign-up.
const (
	// Identity is the identity provider.
	Identity Dependency = "identity"
	// Catalog is the catalog's database.
	Catalog Dependency = "catalog"
	// Captcha is the provider of the CAPTCHA.
	Captcha Dependency = "captcha"
	// Capacity is room: the identity provider's rate limit is used up, or no server takes another tenant.
	Capacity Dependency = "capacity"
)

// Error implements error.
func (e *Unavailable) Error() string { return fmt.Sprintf("%s unavailable: %v", e.What, e.Err) }

// Unwrap returns the cause.
func (e *Unavailable) Unwrap() error { return e.Err }

// unavailable explains what the catalog said. Facts and refusals stay what they are.
func (s *Service) unavailable(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, catalog.ErrNoCapacity) {
		return &Unavailable{What: Capacity, RetryAfter: time.Minute, Err: err}
	}
	if !catalog.Unavailable(err) {
		return err // a defect of ours, which a retry does not repair
	}
	return &Unavailable{What: Catalog, RetryAfter: 2 * time.Second, Err: err}
}

// undecided is how long a sign-up rests whose identity may or may not be in the making.
var undecidedDelay = killpoint.ScaleTime(5 * time.Second)

// identityUnavailable explains what the provider said, other than a refusal.
func identityUnavailable(err error) error {
	unavailable := &Unavailable{What: Identity, RetryAfter: max(identity.RetryAfter(err), 2*time.Second), Err: err}
	var cause *identity.Unavailable
	switch errors.As(err, &cause); {
	case cause == nil:
	case cause.Unknown:
		unavailable.RetryAfter = max(unavailable.RetryAfter, undecidedDelay)
	case cause.Throttled:
		unavailable.What = Capacity
	}
	return unavailable
}
