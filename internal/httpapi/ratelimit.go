package httpapi

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"homeroom/catalog"
)

// networksOfSite is how many networks of one IPv6 site may use up their allowances at the same time: a subscriber may have
// many of them, and a site may have many subscribers.
const networksOfSite = 8

// grants are what was taken of some limits.
type grants struct {
	// taken are the limits of which one was taken, to be given back.
	taken []catalog.Limit
	// each is the answer for each limit, in their order.
	each []catalog.Grant
	// refused is the limit of which there was none, nil where all were granted, and retryAfter when there is one.
	refused    *catalog.Limit
	retryAfter time.Duration
}

// takeAll takes one of each limit, or of none. A limit that cannot be counted is closed.
func (s *server) takeAll(ctx context.Context, limits []catalog.Limit, idempotencyKey string) (all grants, err error) {
	if all.each, err = s.cfg.Catalog.TakeAllowances(ctx, limits, idempotencyKey); err != nil {
		return grants{}, uncounted(err)
	}
	for i, grant := range all.each {
		switch {
		case !grant.Allowed:
			all.refused, all.retryAfter = &limits[i], grant.RetryAfter
			return all, nil
		case grant.Taken:
			all.taken = append(all.taken, limits[i])
		}
	}
	return all, nil
}

// giveBack returns what was taken for something that was then refused. Where that fails, the limits refill by themselves.
func (s *server) giveBack(ctx context.Context, taken []catalog.Limit) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if err := s.cfg.Catalog.ReturnAllowances(ctx, taken); err != nil {
		s.cfg.Logger.WarnContext(ctx, "cannot give an allowance back; it refills by itself", "cause", err)
	}
}

// takeSignup takes one sign-up from the allowance of the caller's address. A repetition of a known one costs nothing.
func (s *server) takeSignup(ctx context.Context, idempotencyKey string) error {
	return s.take(ctx, "signup", s.cfg.SignupRate, idempotencyKey)
}

// take takes one from an allowance of the caller's network and its site.
func (s *server) take(ctx context.Context, name string, allowance *catalog.Allowance, idempotencyKey string) error {
	_, err := s.takeWithBudget(ctx, name, allowance, nil, idempotencyKey)
	return err
}

// takeBudget takes one sign-up from what the whole service has, and returns what to give back should it be refused. A
// repetition of a known one costs nothing.
func (s *server) takeBudget(ctx context.Context, idempotencyKey string) ([]catalog.Limit, error) {
	return s.takeWithBudget(ctx, "", nil, s.budget(), idempotencyKey)
}

// takeWithBudget takes one from an allowance of the caller's network and its site, where there is one, and one from the budget, all
// or none in one statement. It tells what the network has left in headers (draft-ietf-httpapi-ratelimit-headers) that go with
// every answer from here on, and returns what was taken from the budget.
func (s *server) takeWithBudget(ctx context.Context, name string, allowance *catalog.Allowance, budget []catalog.Limit, idempotencyKey string) (
	[]catalog.Limit, error,
) {
	var caller []catalog.Limit
	if allowance != nil {
		caller = s.ofCaller(ctx, name, *allowance)
	}
	all, err := s.takeAll(ctx, slices.Concat(caller, budget), idempotencyKey)
	if err != nil {
		return nil, err
	}
	if allowance != nil {
		policy, left := describeRate(name, *allowance, all.each[len(caller)-1])
		headers := requestOf(ctx).headers
		headers.Set("RateLimit-Policy", policy)
		headers.Set("RateLimit", left)
	}
	switch {
	case all.refused == nil:
		return all.taken[min(len(caller), len(all.taken)):], nil
	case slices.Contains(caller, *all.refused):
		return nil, newProblem(rateLimited, "Too many sign-ups from this address. Try again later.").after(all.retryAfter)
	}
	return nil, newProblem(signupBudget, "The service takes no more sign-ups at this moment. Try again later.").
		after(all.retryAfter).because(errors.New(all.refused.Key + " are used up"))
}

// ofCaller are the limits by which a caller's address is counted: its network, after its site.
func (s *server) ofCaller(ctx context.Context, name string, allowance catalog.Allowance) []catalog.Limit {
	request := requestOf(ctx)
	limits := []catalog.Limit{{Key: name + " " + request.network, Allowance: allowance}}
	if request.site != "" {
		wide := catalog.Allowance{Count: allowance.Count * networksOfSite, Window: allowance.Window}
		limits = append([]catalog.Limit{{Key: name + " " + request.site, Allowance: wide}}, limits...)
	}
	return limits
}

func uncounted(err error) *Problem {
	return newProblem(catalogUnavailable, "The service's catalog cannot be reached at this moment.").
		after(2 * time.Second).because(err)
}

// Budget is how many sign-ups the whole service takes, whoever they come from; zero is no limit.
type Budget struct{ Minute, Day int }

// budget are the limits of the whole service. How much of them is left is nobody's business, so no header tells.
func (s *server) budget() (limits []catalog.Limit) {
	if n := s.cfg.SignupBudget.Minute; n > 0 {
		limits = append(limits, catalog.Limit{Key: "all signups of a minute", Allowance: catalog.Allowance{Count: n, Window: time.Minute}})
	}
	if n := s.cfg.SignupBudget.Day; n > 0 {
		limits = append(limits, catalog.Limit{Key: "all signups of a day", Allowance: catalog.Allowance{Count: n, Window: 24 * time.Hour}})
	}
	return limits
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
