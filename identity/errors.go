package identity

import (
	"errors"
	"fmt"
	"time"

	"homeroom/messages"
)

// ErrExists says that a login with this e-mail or id exists already. It may be our own, made by an attempt whose answer
// was lost: Lookup tells.
var ErrExists = errors.New("an identity with this e-mail exists")

// ErrNotFound says that there is no such login.
var ErrNotFound = errors.New("no such identity")

// Rejected is a definite refusal of a field. Nothing was made.
type Rejected struct {
	// Field is the JSON name of the request's field, such as "password".
	Field string
	// Code is a stable word, such as "too_weak" or "too_common".
	Code string
	// Message is for people and never contains the value: a text of ours, or the provider's own words.
	Message messages.Message
}

// Error implements error.
func (e *Rejected) Error() string {
	return fmt.Sprintf("identity provider refused %s: %s", e.Field, e.Message)
}

// Unavailable says that the provider could not do the work now.
type Unavailable struct {
	// Unknown is true when the work may have been done all the same: ask before doing it again.
	Unknown bool
	// RetryAfter is how long the provider asks to wait; zero when it does not say.
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

// Misconfigured says that the provider refuses us rather than the user: wrong credentials, a missing permission, an
// absent connection. An operator must act; nothing was made.
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

// Temporary tells whether the same call may succeed later, and nothing was made by this one.
func Temporary(err error) bool {
	var u *Unavailable
	return errors.As(err, &u) && !u.Unknown
}

// OutcomeUnknown tells whether the call may have taken effect although it failed: its request was sent, and no answer
// said how it ended.
func OutcomeUnknown(err error) bool {
	var u *Unavailable
	return errors.As(err, &u) && u.Unknown
}

// RetryAfter is how long to wait before the next try; zero when the error does not say.
func RetryAfter(err error) time.Duration {
	var u *Unavailable
	if errors.As(err, &u) {
		return u.RetryAfter
	}
	return 0
}
