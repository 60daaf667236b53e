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

// accountLookupsOfSubject is how often the identity provider is asked for one account, from any addresses.
var accountLookupsOfSubject = catalog.Allowance{Count: 10, Window: time.Minute}

const (
	// accountCacheTTL is how long an account is cached.
	accountCacheTTL = 5 * time.Second
	// maxCachedAccounts is the size of the cache.
	maxCachedAccounts = 10_000
)

// newAccounts makes the cache of accounts from the identity provider.
func newAccounts() (*otter.Cache[string, identity.User], error) {
	return otter.New(&otter.Options[string, identity.User]{
		MaximumSize: maxCachedAccounts, ExpiryCalculator: otter.ExpiryWriting[string, identity.User](accountCacheTTL),
	})
}

// account returns the account of a token's subject at the identity provider.
func (s *server) account(ctx context.Context, subject string) (identity.User, error) {
	if known, ok := s.accounts.GetIfPresent(subject); ok {
		return known, nil
	}
	name := sha256.Sum256([]byte(subject)) // the rate limits store no names of accounts
	grant, err := s.cfg.Catalog.TakeAllowance(ctx, fmt.Sprintf("login %x", name[:16]), accountLookupsOfSubject)
	if err != nil {
		return identity.User{}, err
	}
	if !grant.Allowed {
		return identity.User{}, problem.New(problem.RateLimited, messages.ID("detail.login_requests")).WithRetryAfter(grant.RetryAfter)
	}
	found, err := s.cfg.Signup.Account(ctx, subject)
	if err == nil {
		s.accounts.Set(subject, found)
	}
	return found, err
}
