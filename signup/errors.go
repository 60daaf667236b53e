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
	// ErrHasSchool says that the owner of the account has a school already.
	ErrHasSchool = errors.New("this account has a school")
	// ErrClosed says that nobody can sign up a school.
	ErrClosed = errors.New("sign-up is closed")
	// ErrInvitationRequired says that only invited people can sign up a school.
	ErrInvitationRequired = errors.New("sign-up needs an invitation")
	// ErrInvitationGone says that an invitation is unknown, accepted, revoked, or expired.
	ErrInvitationGone = errors.New("the invitation is no longer open")
	// ErrLinkGone says that the link of a mail is unknown or expired.
	ErrLinkGone = errors.New("the link is no longer valid")
	// ErrAccountRequired says that a sign-up can only be confirmed with the account with which it began.
	ErrAccountRequired = errors.New("the sign-up must be confirmed with its account")
	// ErrOtherAccount says that a sign-up began with another account, or without one.
	ErrOtherAccount = errors.New("the sign-up was begun with another account")
	// ErrNotWaiting says that a sign-up does not wait for the given action.
	ErrNotWaiting = errors.New("the sign-up does not wait for this")
	// ErrCannotLink says that the identity provider cannot link existing accounts.
	ErrCannotLink = errors.New("this identity provider cannot link an existing account")
	// ErrNotAPerson says that a token does not belong to a person who could own a school, or that their account is
	// gone.
	ErrNotAPerson = errors.New("the token does not belong to a person with an e-mail address")
	// ErrInProgress says that another worker handles the same request now.
	ErrInProgress = errors.New("this sign-up is in progress")
	// ErrKeyReused says that the idempotency key was used for another request.
	ErrKeyReused = errors.New("the idempotency key belongs to another request")
	// ErrNeedsOperator says that only an operator can resolve the sign-up.
	ErrNeedsOperator = errors.New("this sign-up needs an operator")
	// ErrNotProvisioned says that a tenant is not in a state in which it can be reprovisioned.
	ErrNotProvisioned = errors.New("the tenant is being built or deleted")
	// ErrOtherSchema says that a tenant's schema was made with other migrations than those of this program.
	ErrOtherSchema = errors.New("its schema comes from other migrations than this program has")
	// ErrMayNotInvite says that the caller may not invite people to a school, or that the school does not exist.
	ErrMayNotInvite = errors.New("only the owner and the admins of a school may invite people to it")
	// ErrEmailUnconfirmed says that the caller must confirm their own e-mail address first.
	ErrEmailUnconfirmed = errors.New("the caller's own e-mail address is not confirmed")
	// ErrWrongConfirmation says that a destructive request did not repeat the tenant's slug.
	ErrWrongConfirmation = errors.New("the confirmation is not the tenant's slug")
)

// needsOperatorError is [ErrNeedsOperator] with details for the operator only.
type needsOperatorError struct{ cause error }

func (e *needsOperatorError) Error() string { return ErrNeedsOperator.Error() + ": " + e.cause.Error() }

func (e *needsOperatorError) Is(target error) bool { return target == ErrNeedsOperator }

// TooManyMails says that an address has received as many mails as are allowed for now.
type TooManyMails struct {
	// RetryAfter is how long until the next mail is allowed.
	RetryAfter time.Duration
}

// Error implements error.
func (e *TooManyMails) Error() string { return "the address has been sent several mails" }

// RateLimited says that the caller's IP address has begun as many sign-ups as are allowed for now.
type RateLimited struct {
	// RetryAfter is how long until the next one is allowed.
	RetryAfter time.Duration
}

// Error implements error.
func (e *RateLimited) Error() string { return "too many sign-ups from this address" }

// BudgetExceeded says that the whole service accepts no more sign-ups for now.
type BudgetExceeded struct {
	// RetryAfter is how long until the next one is allowed.
	RetryAfter time.Duration
	// Limit is the limit that is used up.
	Limit string
}

// Error implements error.
func (e *BudgetExceeded) Error() string { return e.Limit + " are used up" }

// IsRefusal reports whether an error of [Service.Begin] refuses the request itself; then nothing was created. Other
// errors are about a dependency that does not work now, and the sign-up may still continue.
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

// Unavailable says that a dependency of the sign-up does not work now. A later request with the same key continues.
type Unavailable struct {
	// What is the dependency that does not work.
	What Dependency
	// RetryAfter is how long the caller should wait.
	RetryAfter time.Duration
	Err        error
}

// Dependency is a service that a sign-up needs.
type Dependency string

// The dependencies of a sign-up.
const (
	// Identity is the identity provider.
	Identity Dependency = "identity"
	// Catalog is the catalog's database.
	Catalog Dependency = "catalog"
	// Captcha is the provider of the CAPTCHA.
	Captcha Dependency = "captcha"
	// Capacity means that the identity provider's rate limit is used up, or that no server takes another tenant.
	Capacity Dependency = "capacity"
)

// Error implements error.
func (e *Unavailable) Error() string { return fmt.Sprintf("%s unavailable: %v", e.What, e.Err) }

// Unwrap returns the cause.
func (e *Unavailable) Unwrap() error { return e.Err }

// unavailable maps an error of the catalog to the error for the caller. Other errors stay as they are.
func (s *Service) unavailable(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, catalog.ErrNoCapacity) {
		return &Unavailable{What: Capacity, RetryAfter: time.Minute, Err: err}
	}
	if !catalog.Unavailable(err) {
		return err // a defect of this program, which a retry does not repair
	}
	return &Unavailable{What: Catalog, RetryAfter: 2 * time.Second, Err: err}
}

// undecidedDelay is how long a sign-up waits when it is unknown whether the provider still creates its identity.
var undecidedDelay = killpoint.ScaleTime(5 * time.Second)

// identityUnavailable maps an error of the provider, other than a refusal, to the error for the caller.
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
