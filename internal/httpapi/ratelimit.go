package httpapi

import (
	"context"
	"fmt"
	"math"
	"time"

	"homeroom/catalog"
)

// takeSignup takes one sign-up from the allowance of the caller's address, and tells what is left in headers
// (draft-ietf-httpapi-ratelimit-headers) that go with every answer from here on. A limit that cannot be counted is closed.
func (s *server) takeSignup(ctx context.Context, idempotencyKey string) error {
	allowance := s.cfg.SignupRate
	if allowance == nil {
		return nil
	}
	request := requestOf(ctx)
	grant, err := s.cfg.Catalog.TakeAllowance(ctx, "signup "+request.network, *allowance, idempotencyKey)
	if err != nil {
		return newProblem(catalogUnavailable, "The service's registry cannot be reached at this moment.").
			after(2 * time.Second).because(err)
	}
	policy, left := describeRate(*allowance, grant)
	request.headers.Set("RateLimit-Policy", policy)
	request.headers.Set("RateLimit", left)
	if !grant.Allowed {
		return newProblem(rateLimited, "Too many sign-ups from this address. Try again later.").after(grant.RetryAfter)
	}
	return nil
}

// RateHeaders describes the headers that takeSignup writes, for the OpenAPI document.
type RateHeaders struct {
	RateLimitPolicy string `header:"RateLimit-Policy" doc:"How many sign-ups (q) an address has in how many seconds (w)." example:"\"signup\";q=5;w=3600"`
	RateLimit       string `header:"RateLimit" doc:"How many are left (r), and after how many seconds there are more (t)." example:"\"signup\";r=4;t=720"`
}

func describeRate(allowance catalog.Allowance, grant catalog.Grant) (policy, left string) {
	wait := grant.RetryAfter
	if grant.Allowed { // until all are back, at most
		wait = time.Duration(allowance.Count-grant.Remaining) * (allowance.Window / time.Duration(allowance.Count))
	}
	return fmt.Sprintf(`"signup";q=%d;w=%.0f`, allowance.Count, math.Ceil(allowance.Window.Seconds())),
		fmt.Sprintf(`"signup";r=%d;t=%.0f`, grant.Remaining, math.Ceil(wait.Seconds()))
}
