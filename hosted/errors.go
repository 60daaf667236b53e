package hosted

import (
	"errors"
	"fmt"
)

// Errors of a flow. Besides these there are *[identity.Unavailable], when the provider cannot answer now, and
// *[identity.Misconfigured], when the provider refuses this service rather than the person.
var (
	// ErrAccessDenied means that the person, or a rule of the provider, refused.
	ErrAccessDenied = errors.New("the person refused")
	// ErrLoginRequired means that the provider must show a page, and prompt=none forbids it.
	ErrLoginRequired = errors.New("the provider must show a page")
	// ErrExpired means that the flow is older than [Config.Lifetime].
	ErrExpired = errors.New("the registration has expired")
	// ErrCodeRejected means that the provider rejects the authorization code: it was used before, or has expired.
	ErrCodeRejected = errors.New("the authorization code was used before, or has expired")
	// ErrStateMismatch means that the callback does not belong to a flow of this browser.
	ErrStateMismatch = errors.New("the answer does not belong to a registration of this browser")
	// ErrUnverified means that the provider's response cannot be verified: the ID token's signature or one of its claims.
	ErrUnverified = errors.New("the provider's response cannot be verified")
	// ErrNoEmail means that the provider sent no e-mail address.
	ErrNoEmail = errors.New("the provider sent no e-mail address")
	// ErrReturnURL means that a return URL is not allowed.
	ErrReturnURL = errors.New("this is not an allowed return URL")
)

// OptionError names an option of a registration that is invalid.
type OptionError struct{ Option string }

// Error implements error.
func (e *OptionError) Error() string { return fmt.Sprintf("the option %s is invalid", e.Option) }
