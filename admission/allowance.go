package admission

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"time"

	"homeroom/catalog"
	"homeroom/signup"
)

// NetworksPerSite is how many networks of one IPv6 site may use up their allowances at the same time: a subscriber may
// have many networks, and a site many subscribers.
const NetworksPerSite = 8

// Caller is the origin of a request.
type Caller struct {
	// Address is the client's address.
	Address string
	// Network and Site are the keys of the limits. A client with an IPv4 address has no site; Site is empty then.
	Network, Site string
}

// Budget is how many sign-ups of all callers the whole service accepts; zero means no limit.
type Budget struct{ Minute, Day int }

// limits are the limits of the whole service. No answer shows how much of them is left.
func (b Budget) limits() (limits []catalog.Limit) {
	if b.Minute > 0 {
		limits = append(limits, catalog.Limit{Key: "all signups of a minute", Allowance: catalog.Allowance{Count: b.Minute, Window: time.Minute}})
	}
	if b.Day > 0 {
		limits = append(limits, catalog.Limit{Key: "all signups of a day", Allowance: catalog.Allowance{Count: b.Day, Window: 24 * time.Hour}})
	}
	return limits
}

// Grant is what is left of the allowance of the caller's address.
type Grant struct {
	catalog.Grant
	name      string
	allowance catalog.Allowance
}

// SetHeaders sets the headers of a grant (draft-ietf-httpapi-ratelimit-headers), if there is one.
func (g *Grant) SetHeaders(headers http.Header) {
	if g == nil {
		return
	}
	wait := g.RetryAfter
	if g.Allowed { // at most the time until all are available again
		wait = time.Duration(g.allowance.Count-g.Remaining) * (g.allowance.Window / time.Duration(g.allowance.Count))
	}
	headers.Set("RateLimit-Policy", fmt.Sprintf(`%q;q=%d;w=%.0f`, g.name, g.allowance.Count, math.Ceil(g.allowance.Window.Seconds())))
	headers.Set("RateLimit", fmt.Sprintf(`%q;r=%d;t=%.0f`, g.name, g.Remaining, math.Ceil(wait.Seconds())))
}

type callerKey struct{}

// WithCaller returns a context with the caller.
func WithCaller(ctx context.Context, caller Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, caller)
}

// CallerOf returns the caller of a context.
func CallerOf(ctx context.Context) Caller {
	caller, _ := ctx.Value(callerKey{}).(Caller)
	return caller
}

// limitsOf returns the limits of a caller's address: first its site's, then its network's.
func limitsOf(caller Caller, name string, allowance catalog.Allowance) []catalog.Limit {
	limits := []catalog.Limit{{Key: name + " " + caller.Network, Allowance: allowance}}
	if caller.Site != "" {
		wide := catalog.Allowance{Count: allowance.Count * NetworksPerSite, Window: allowance.Window}
		limits = append([]catalog.Limit{{Key: name + " " + caller.Site, Allowance: wide}}, limits...)
	}
	return limits
}

// grantOf returns the grant of the last limit of an address; nil if the address is not counted, or could not be.
func grantOf(name string, allowance *catalog.Allowance, address []catalog.Limit, grants []catalog.Grant) *Grant {
	if len(address) == 0 || len(grants) == 0 {
		return nil
	}
	return &Grant{Grant: grants[len(address)-1], name: name, allowance: *allowance}
}

// CountsAddresses reports whether sign-ups are counted by address.
func (a *Admission) CountsAddresses() bool { return a.cfg.Rate != nil }

// Take takes one from an allowance of the caller's address, and from that of its site. A nil allowance means no limit,
// and has no grant. It fails with *[signup.RateLimited] if none is left.
func (a *Admission) Take(ctx context.Context, name string, allowance *catalog.Allowance, caller Caller) (*Grant, error) {
	if allowance == nil {
		return nil, nil //nolint:nilnil // no limit, and nothing to tell of it
	}
	address := limitsOf(caller, name, *allowance)
	grants, _, err := a.take(ctx, "", address, nil)
	return grantOf(name, allowance, address, grants), err
}

// take takes one of each limit, or of none, in one statement. If none is left, a known sign-up may continue: it is
// looked up only then, so that the usual request does not wait for it.
func (a *Admission) take(ctx context.Context, idempotencyKey string, address, budget []catalog.Limit) (grants []catalog.Grant, known bool, err error) {
	limits := slices.Concat(address, budget)
	if grants, err = a.cfg.Catalog.TakeAllowances(ctx, limits); err != nil {
		return nil, false, err
	}
	refused := slices.IndexFunc(grants, func(g catalog.Grant) bool { return !g.Allowed })
	if refused < 0 {
		return grants, false, nil
	}
	if known, err = a.known(ctx, idempotencyKey); err != nil || known {
		return grants, known, err
	}
	if refused < len(address) {
		return grants, false, &signup.RateLimited{RetryAfter: grants[refused].RetryAfter}
	}
	return grants, false, &signup.BudgetExceeded{RetryAfter: grants[refused].RetryAfter, Limit: limits[refused].Key}
}

// known reports whether a sign-up with this key is known.
func (a *Admission) known(ctx context.Context, idempotencyKey string) (bool, error) {
	if !signup.ValidKey(idempotencyKey) {
		return false, nil
	}
	_, err := a.cfg.Catalog.SignupByKey(ctx, idempotencyKey)
	if errors.Is(err, catalog.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// refund returns allowances that were not needed. After a failure the limits refill over time.
func (a *Admission) refund(ctx context.Context, charged []catalog.Limit) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if err := a.cfg.Catalog.ReturnAllowances(ctx, charged); err != nil {
		a.cfg.Logger.WarnContext(ctx, "cannot return an allowance; it refills by itself", "error", err)
	}
}
