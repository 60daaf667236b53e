package httpapi

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"homeroom/catalog"
)

// networksOfSite is how many networks of one IPv6 site may use up their allowances at the same time: a subscriber may have
// many of them, and a site may have many subscribers.
const networksOfSite = 8

// limit is an allowance with the key by which all processes count it.
type limit struct {
	key       string
	allowance catalog.Allowance
}

// grants are what was taken of some limits.
type grants struct {
	// taken are the limits of which one was taken, to be given back.
	taken []limit
	// refused is the limit of which there was none; nil where all were granted.
	refused *limit
	// last is what the last limit that was asked has answered.
	last catalog.Grant
}

// takeAll takes one of each limit, or of none: what was taken before a limit refuses is given back. A limit that cannot be
// counted is closed.
func (s *server) takeAll(ctx context.Context, limits []limit, idempotencyKey string) (grants, error) {
	var all grants
	for _, one := range limits {
		grant, err := s.cfg.Catalog.TakeAllowance(ctx, one.key, one.allowance, idempotencyKey)
		if err == nil && grant.Allowed {
			all.last = grant
			if grant.Taken {
				all.taken = append(all.taken, one)
			}
			continue
		}
		s.giveBack(ctx, all.taken)
		if err != nil {
			return grants{}, uncounted(err)
		}
		return grants{refused: &one, last: grant}, nil
	}
	return all, nil
}

// giveBack returns what was taken for something that was then refused. Where that fails, the limits refill by themselves.
func (s *server) giveBack(ctx context.Context, taken []limit) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	for _, one := range taken {
		if err := s.cfg.Catalog.ReturnAllowance(ctx, one.key, one.allowance); err != nil {
			s.cfg.Logger.WarnContext(ctx, "cannot give an allowance back; it refills by itself", "cause", err)
			return
		}
	}
}

// takeSignup takes one sign-up from the allowance of the caller's address. A repetition of a known one costs nothing.
func (s *server) takeSignup(ctx context.Context, idempotencyKey string) error {
	return s.take(ctx, "signup", s.cfg.SignupRate, idempotencyKey)
}

// take takes one from an allowance of the caller's network and its site, and tells what the network has left in headers
// (draft-ietf-httpapi-ratelimit-headers) that go with every answer from here on.
func (s *server) take(ctx context.Context, name string, allowance *catalog.Allowance, idempotencyKey string) error {
	if allowance == nil {
		return nil
	}
	all, err := s.takeAll(ctx, s.ofCaller(ctx, name, *allowance), idempotencyKey)
	if err != nil {
		return err
	}
	policy, left := describeRate(name, *allowance, all.last)
	headers := requestOf(ctx).headers
	headers.Set("RateLimit-Policy", policy)
	headers.Set("RateLimit", left)
	if all.refused != nil {
		return newProblem(rateLimited, "Too many sign-ups from this address. Try again later.").after(all.last.RetryAfter)
	}
	return nil
}

// ofCaller are the limits by which a caller's address is counted. That of the site comes first: networks of a site that has
// used its own up leave no rows.
func (s *server) ofCaller(ctx context.Context, name string, allowance catalog.Allowance) []limit {
	request := requestOf(ctx)
	limits := []limit{{name + " " + request.network, allowance}}
	if request.site != "" {
		wide := catalog.Allowance{Count: allowance.Count * networksOfSite, Window: allowance.Window}
		limits = append([]limit{{name + " " + request.site, wide}}, limits...)
	}
	return limits
}

func uncounted(err error) *Problem {
	return newProblem(catalogUnavailable, "The service's registry cannot be reached at this moment.").
		after(2 * time.Second).because(err)
}

// Budget is how many sign-ups the whole service takes, whoever they come from; zero is no limit.
type Budget struct{ Minute, Day int }

// takeBudget takes one sign-up from what the whole service has, and returns what to give back should it be refused. A
// repetition of a known one costs nothing. How much is left is nobody's business, so no header tells.
func (s *server) takeBudget(ctx context.Context, idempotencyKey string) ([]limit, error) {
	var limits []limit
	if n := s.cfg.SignupBudget.Minute; n > 0 {
		limits = append(limits, limit{"all signups of a minute", catalog.Allowance{Count: n, Window: time.Minute}})
	}
	if n := s.cfg.SignupBudget.Day; n > 0 {
		limits = append(limits, limit{"all signups of a day", catalog.Allowance{Count: n, Window: 24 * time.Hour}})
	}
	all, err := s.takeAll(ctx, limits, idempotencyKey)
	if err != nil {
		return nil, err
	}
	if all.refused != nil {
		return nil, newProblem(signupBudget, "The service takes no more sign-ups at this moment. Try again later.").
			after(all.last.RetryAfter).because(errors.New(all.refused.key + " are used up"))
	}
	return all.taken, nil
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
