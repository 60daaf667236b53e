package identity

import (
	"errors"
	"fmt"
	"time"

	"homeroom/messages"
)

// ErrExists means that an account with this e-mail or id exists already. It may be our own, created by an attempt whose
// answer was lost: use Lookup to find out.
var ErrExists = errors.New("an identity with this e-mail exists")

// ErrNotFound means that there is no such account.
var ErrNotFound = errors.New("no such identity")

// Rejected is a definite refusal of a field. Nothing was created.
type Rejected struct {
	// Field is the JSON name of the request's field, such as "password".
	Field string
	// Code is a stable code, such as "too_weak" or "too_common".
	Code string
	// Message is for people and never contains the value: a text of ours, or the provider's text.
	Message messages.Message
}

// Error implements error.
func (e *Rejected) Error() string {
	return fmt.Sprintf("identity provider refused %s: %s", e.Field, e.Message)
}

// Unavailable means that the provider could not do the work now.
type Unavailable struct {
	// Unknown is true when the work may have been done nevertheless: look it up before a retry.
	Unknown bool
	// RetryAfter is how long the provider asks to wait; zero if it gives no time.
	RetryAfter time.Duration
	// Throttled is true when the cause is a rate limit, the provider's or our own towards it.
	Throttled bool
	Err       error
}

// Error implements error.
func (e *Unavailable) Error() string {
	if e.Unknown {
		return fmt.Sprintf("identity provider: outcome unknown: %v", e.Err)
	}
	return fmt.Sprintf("identity provider unavailable: %v", e.Err)
}

// Unwrap returns the cause.
func (e *Unavailable) Unwrap() error { return e.Err }

// Misconfigured means that the provider refuses Homeroom rather than the user: wrong credentials, a missing permission, a
// missing connection. An operator must act; nothing was created.
type Misconfigured struct {
	// Hint says what to change, and where.
	Hint string
	Err  error
}

// Error implements error.
func (e *Misconfigured) Error() string {
	return fmt.Sprintf("identity provider is not set up for us: %v (%s)", e.Err, e.Hint)
}

// Unwrap returns the cause.
func (e *Misconfigured) Unwrap() error { return e.Err }

// Temporary reports whether the same call may succeed later, and this one created nothing.
func Temporary(err error) bool {
	var u *Unavailable
	return errors.As(err, &u) && !u.Unknown
}

// OutcomeUnknown reports whether the call may have taken effect although it failed: its request was sent, and no answer
// gave its result.
func OutcomeUnknown(err error) bool {
	var u *Unavailable
	return errors.As(err, &u) && u.Unknown
}

// RetryAfter is how long to wait before the next attempt; zero if the error gives no time.
func RetryAfter(err error) time.Duration {
	var u *Unavailable
	if errors.As(err, &u) {
		return u.RetryAfter
	}
	return 0
}
