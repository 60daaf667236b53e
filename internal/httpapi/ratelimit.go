package httpapi

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"homeroom/catalog"
)

// takeSignup takes one sign-up from the allowance of the caller's address. A repetition of a known one costs nothing.
func (s *server) takeSignup(ctx context.Context, idempotencyKey string) error {
	return s.take(ctx, "signup", s.cfg.SignupRate, idempotencyKey)
}

// take takes one from an allowance of the caller's address, and tells what is left in headers
// (draft-ietf-httpapi-ratelimit-headers) that go with every answer from here on. A limit that cannot be counted is closed.
func (s *server) take(ctx context.Context, name string, allowance *catalog.Allowance, idempotencyKey string) error {
	if allowance == nil {
		return nil
	}
	request := requestOf(ctx)
	grant, err := s.cfg.Catalog.TakeAllowance(ctx, name+" "+request.network, *allowance, idempotencyKey)
	if err != nil {
		return uncounted(err)
	}
	policy, left := describeRate(name, *allowance, grant)
	request.headers.Set("RateLimit-Policy", policy)
	request.headers.Set("RateLimit", left)
	if !grant.Allowed {
		return newProblem(rateLimited, "Too many sign-ups from this address. Try again later.").after(grant.RetryAfter)
	}
	return nil
}

func uncounted(err error) *Problem {
	return newProblem(catalogUnavailable, "The service's registry cannot be reached at this moment.").
		after(2 * time.Second).because(err)
}

// Budget is how many sign-ups the whole service takes, whoever they come from; zero is no limit.
type Budget struct{ Minute, Day int }

// takeBudget takes one sign-up from what the whole service has. A repetition of a known one costs nothing. How much is left
// is nobody's business, so no header tells.
func (s *server) takeBudget(ctx context.Context, idempotencyKey string) error {
	for _, part := range []struct {
		key       string
		allowance catalog.Allowance
	}{
		{"all signups of a minute", catalog.Allowance{Count: s.cfg.SignupBudget.Minute, Window: time.Minute}},
		{"all signups of a day", catalog.Allowance{Count: s.cfg.SignupBudget.Day, Window: 24 * time.Hour}},
	} {
		if part.allowance.Count == 0 {
			continue
		}
		grant, err := s.cfg.Catalog.TakeAllowance(ctx, part.key, part.allowance, idempotencyKey)
		if err != nil {
			return uncounted(err)
		}
		if !grant.Allowed {
			return newProblem(signupBudget, "The service takes no more sign-ups at this moment. Try again later.").
				after(grant.RetryAfter).because(errors.New(part.key + " are used up"))
		}
	}
	return nil
}

// RateHeaders describes the headers that takeSignup writes, for the OpenAPI document.
type RateHeaders struct {
	RateLimitPolicy string `header:"RateLimit-Policy" doc:"How many sign-ups (q) an address has in how many seconds (w)." example:"\"signup\";q=5;w=3600"`
	RateLimit       string `header:"RateLimit" doc:"How many are left (r), and after how many seconds there are more (t)." example:"\"signup\";r=4;t=720"`
}

func describeRate(name string, allowance catalog.Allowance, grant catalog.Grant) (policy, left string) {
	wait := grant.RetryAfter
	if grant.Allowed { // until all are back, at most
		wait = time.Duration(allowance.Count-grant.Remaining) * (allowance.Window / time.Duration(allowance.Count))
	}
	return fmt.Sprintf(`%q;q=%d;w=%.0f`, name, allowance.Count, math.Ceil(allowance.Window.Seconds())),
		fmt.Sprintf(`%q;r=%d;t=%.0f`, name, grant.Remaining, math.Ceil(wait.Seconds()))
}
