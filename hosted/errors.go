package hosted

import (
	"errors"
	"fmt"
)

// What may become of a registration. Besides these there are *[identity.Unavailable], when the provider cannot answer now, and
// *[identity.Misconfigured], when it refuses us rather than the person.
var (
	// ErrAccessDenied says that the person did not want to.
	ErrAccessDenied = errors.New("the person refused")
	// ErrLoginRequired says that nothing was to be shown (prompt=none), and something must be.
	ErrLoginRequired = errors.New("the person must be asked")
	// ErrExpired says that it took too long.
	ErrExpired = errors.New("the registration has taken too long")
	// ErrCodeRejected says that the provider does not take the answer's code: it was used before, or it is too old.
	ErrCodeRejected = errors.New("the answer was used before, or is too old")
	// ErrStateMismatch says that the answer is not one to a question of this browser.
	ErrStateMismatch = errors.New("the answer does not belong to a registration of this browser")
	// ErrUnverified says that what the provider told of the person does not hold up.
	ErrUnverified = errors.New("the provider's word cannot be trusted")
	// ErrNoEmail says that the provider told no e-mail address.
	ErrNoEmail = errors.New("the provider told no e-mail address")
	// ErrReturnURL says that a person was to be sent on to an address that is not allowed.
	ErrReturnURL = errors.New("this address is not among those to which people may be sent on")
)

// OptionError says which option of a registration cannot be used.
type OptionError struct{ Option string }

// Error implements error.
func (e *OptionError) Error() string { return fmt.Sprintf("the option %s cannot be used", e.Option) }
