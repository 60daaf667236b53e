package catalog

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Allowance is how often an action is allowed: Count times per Window, at once or spread over it.
type Allowance struct {
	Count  int
	Window time.Duration
}

// Limit is an allowance with the key by which all processes count it.
type Limit struct {
	Key string
	Allowance
}

// step returns how long it takes until one more is allowed.
func (l Limit) step() time.Duration { return l.Window / time.Duration(l.Count) }

// remaining returns how many more are allowed at once.
func (l Limit) remaining(untilFull time.Duration) int {
	return max(int((l.Window-untilFull)/l.step()), 0)
}

// Grant is the answer to a request for one of a limit's allowance.
type Grant struct {
	// Allowed reports whether the action is allowed.
	Allowed bool
	// Remaining is how many more are allowed at once.
	Remaining int
	// RetryAfter is how long until the next is allowed; zero if one is allowed now.
	RetryAfter time.Duration
}

// takeAllowances takes one of each limit, or of none if a limit has none left. Two concurrent statements may both find
// one left, and the second then finds none when it writes.
const takeAllowances = `
		with wanted as (
			select key, step, span
			from unnest($1::text[], $2::interval[], $3::interval[]) as w (key, step, span)
		)
		insert into rate_limits as r (key, full_at)
		select key, now() + step
		from wanted
		where not exists (
			select from wanted join rate_limits using (key) where greatest(full_at, now()) + step > now() + span)
		order by key
		on conflict (key) do update
		set full_at = greatest(r.full_at, now()) + (excluded.full_at - now())
		where greatest(r.full_at, now()) + (excluded.full_at - now())
			<= now() + (select span from wanted where wanted.key = excluded.key)
		returning key, full_at - now() as until_full`

// readAllowances returns how long each limit takes until it is full; null if it is full.
const readAllowances = `
		select wanted.key, full_at - now() as until_full
		from unnest($1::text[]) as wanted (key)
		left join rate_limits on rate_limits.key = wanted.key and full_at > now()`

// TakeAllowance is [Store.TakeAllowances] for one limit.
func (s *Store) TakeAllowance(ctx context.Context, key string, allowance Allowance) (Grant, error) {
	grants, err := s.TakeAllowances(ctx, []Limit{{key, allowance}})
	if err != nil {
		return Grant{}, err
	}
	return grants[0], nil
}

// TakeAllowances asks for one of each limit's allowance, which all processes share, and takes one of each or none: it
// is one statement. The grants are in the limits' order; if one is not allowed, none is taken. The keys must differ.
//
// An allowance refills evenly (the generic cell rate algorithm, one row for a key). The rows are unlogged and their
// commit is not waited for: a crash of Postgres may reset the limits, and a sign-up needs no fsync for them.
func (s *Store) TakeAllowances(ctx context.Context, limits []Limit) ([]Grant, error) {
	if len(limits) == 0 {
		return nil, nil
	}
	keys, steps, spans := columns(limits)
	taken, err := many[allowanceRow](ctx, s.pool, takeAllowances, keys, steps, spans)
	if err == nil && len(taken) < len(limits) {
		return s.refusedGrants(ctx, limits, taken)
	}
	if err != nil {
		return nil, fmt.Errorf("take from the allowance: %w", err)
	}
	grants := make([]Grant, len(limits))
	for _, row := range taken {
		i := slices.Index(keys, row.Key)
		grants[i] = Grant{Allowed: true, Remaining: limits[i].remaining(*row.UntilFull)}
	}
	return grants, nil
}

// allowanceRow is the row of a limit.
type allowanceRow struct {
	Key       string
	UntilFull *time.Duration
}

// refusedGrants returns the allowances that were taken of some limits, if another request was first at the others, and
// reads which allowances are used up, and for how long.
func (s *Store) refusedGrants(ctx context.Context, limits []Limit, taken []allowanceRow) ([]Grant, error) {
	keys, _, _ := columns(limits)
	var back []Limit
	for _, row := range taken {
		back = append(back, limits[slices.Index(keys, row.Key)])
	}
	if err := s.ReturnAllowances(ctx, back); err != nil {
		return nil, err
	}
	rows, err := many[allowanceRow](ctx, s.pool, readAllowances, keys)
	if err != nil {
		return nil, fmt.Errorf("read the allowance: %w", err)
	}
	grants, allowed := make([]Grant, len(limits)), true
	for _, row := range rows {
		i := slices.Index(keys, row.Key)
		var untilFull time.Duration
		if row.UntilFull != nil {
			untilFull = *row.UntilFull
		}
		grants[i] = Grant{Allowed: true, Remaining: limits[i].remaining(untilFull)}
		if missing := untilFull + limits[i].step() - limits[i].Window; missing > 0 {
			grants[i] = Grant{RetryAfter: max(missing, time.Second)}
		}
		allowed = allowed && grants[i].Allowed
	}
	if allowed { // there was none a moment ago
		grants[0] = Grant{RetryAfter: time.Second}
	}
	return grants, nil
}

// ReturnAllowances returns one of each limit that was taken for an action which was then refused.
func (s *Store) ReturnAllowances(ctx context.Context, limits []Limit) error {
	if len(limits) == 0 {
		return nil
	}
	keys, steps, _ := columns(limits)
	_, err := s.pool.Exec(ctx, `
		update rate_limits
		set full_at = full_at - step
		from (select key, step from unnest($1::text[], $2::interval[]) as t (key, step) order by key) as taken
		where rate_limits.key = taken.key`, keys, steps)
	if err != nil {
		return fmt.Errorf("return to the allowance: %w", err)
	}
	return nil
}

func columns(limits []Limit) (keys []string, steps, spans []time.Duration) {
	for _, limit := range limits {
		keys, steps, spans = append(keys, limit.Key), append(steps, limit.step()), append(spans, limit.Window)
	}
	return keys, steps, spans
}
