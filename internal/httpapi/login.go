package httpapi

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/maypok86/otter/v2"

	"homeroom/catalog"
	"homeroom/identity"
	"homeroom/internal/problem"
	"homeroom/messages"
)

// loginsOfSubject is how often one login may have the identity provider asked for itself, whatever addresses it comes from.
var loginsOfSubject = catalog.Allowance{Count: 10, Window: time.Minute}

const (
	// loginFor is how long a login is taken to be what the identity provider has said.
	loginFor = 5 * time.Second
	// mostLogins bounds how many are kept.
	mostLogins = 10_000
)

// newLogins keeps what the identity provider has said of logins.
func newLogins() (*otter.Cache[string, identity.User], error) {
	return otter.New(&otter.Options[string, identity.User]{
		MaximumSize: mostLogins, ExpiryCalculator: otter.ExpiryWriting[string, identity.User](loginFor),
	})
}

// login is the login of a token's subject, as the identity provider knows it.
func (s *server) login(ctx context.Context, subject string) (identity.User, error) {
	if known, ok := s.logins.GetIfPresent(subject); ok {
		return known, nil
	}
	name := sha256.Sum256([]byte(subject)) // the limits hold no names of logins
	grant, err := s.cfg.Catalog.TakeAllowance(ctx, fmt.Sprintf("login %x", name[:16]), loginsOfSubject)
	if err != nil {
		return identity.User{}, err
	}
	if !grant.Allowed {
		return identity.User{}, problem.New(problem.RateLimited, messages.ID("detail.login_requests")).After(grant.RetryAfter)
	}
	found, err := s.cfg.Signup.Account(ctx, subject)
	if err == nil {
		s.logins.Set(subject, found)
	}
	return found, err
}
