package catalog

import (
	"context"
	"fmt"
	"time"
)

// Allowance is how often something may be done: Count times per Window, at once or spread over it.
type Allowance struct {
	Count  int
	Window time.Duration
}

// Limit is an allowance with the key by which all processes count it.
type Limit struct {
	Key string
	Allowance
}

// step is how long it takes until one more is allowed.
func (l Limit) step() time.Duration { return l.Window / time.Duration(l.Count) }

// Grant is the answer to a request for one of a limit's allowance.
type Grant struct {
	// Allowed tells whether it may be done.
	Allowed bool
	// Taken tells whether one was taken for it, and not for a repetition, which costs nothing.
	Taken bool
	// Remaining is how many more are allowed at once.
	Remaining int
	// RetryAfter is how long until the next is allowed; zero when one is.
	RetryAfter time.Duration
}

// takeAllowances takes one of each limit, or of none where a limit has none left or the key is of a known sign-up. Two that run
// at once may both find room; the second then finds no room for a single limit only when it writes.
const takeAllowances = `
		with wanted as (
			select key, step, span, n
			from unnest($1::text[], $2::interval[], $3::interval[]) with ordinality as w (key, step, span, n)
		), known as (
			select $4 <> '' and exists (select from signups where idempotency_key = $4) as repetition
		), room as (
			select bool_and(greatest(full_at, now()) + step <= now() + span) as enough
			from wanted left join rate_limits using (key)
		), taken as (
			insert into rate_limits as r (key, full_at)
			select key, now() + step from wanted, known, room
			where enough and not repetition
			order by key
			on conflict (key) do update
			set full_at = greatest(r.full_at, now()) + (excluded.full_at - now())
			where greatest(r.full_at, now()) + (excluded.full_at - now())
				<= now() + (select span from wanted where wanted.key = excluded.key)
			returning key, full_at
		)
		select taken.key is not null as taken, repetition,
			coalesce(greatest(coalesce(taken.full_at, r.full_at) - now(), interval '0'), interval '0') as until_full
		from wanted
		cross join known
		left join taken using (key)
		left join rate_limits r using (key)
		order by n`

// TakeAllowance is [Store.TakeAllowances] for one limit.
func (s *Store) TakeAllowance(ctx context.Context, key string, allowance Allowance, idempotencyKey string) (Grant, error) {
	grants, err := s.TakeAllowances(ctx, []Limit{{key, allowance}}, idempotencyKey)
	if err != nil {
		return Grant{}, err
	}
	return grants[0], nil
}

// TakeAllowances asks for one of each limit's allowance, which all processes share, and takes one of each or none: it is one
// statement. A repetition of a known sign-up, told by its idempotency key, costs nothing. The grants are in the limits' order;
// where one is not allowed, none is taken. The keys must differ.
//
// An allowance refills evenly (the generic cell rate algorithm, one row for a key). The rows are unlogged and their commit is
// not waited for: a crash of Postgres may give the clients a fresh allowance, and the path of a sign-up has no fsync for it.
func (s *Store) TakeAllowances(ctx context.Context, limits []Limit, idempotencyKey string) ([]Grant, error) {
	if len(limits) == 0 {
		return nil, nil
	}
	keys, steps, spans := columns(limits)
	rows, err := many[struct {
		Taken, Repetition bool
		UntilFull         time.Duration
	}](ctx, s.pool, takeAllowances, keys, steps, spans, idempotencyKey)
	if err != nil {
		return nil, fmt.Errorf("take from the allowance: %w", err)
	}
	grants := make([]Grant, len(limits))
	var taken []Limit
	for i, row := range rows {
		limit := limits[i]
		missing := row.UntilFull + limit.step() - limit.Window
		grants[i] = Grant{
			Allowed: row.Taken || row.Repetition || missing <= 0, Taken: row.Taken,
			Remaining: max(int((limit.Window-row.UntilFull)/limit.step()), 0),
		}
		if !grants[i].Allowed {
			grants[i].RetryAfter = max(missing, time.Second)
		}
		if row.Taken {
			taken = append(taken, limit)
		}
	}
	if len(taken) == 0 || len(taken) == len(limits) {
		return grants, nil
	}
	for i := range grants { // somebody else was faster at one of them
		if !grants[i].Taken {
			grants[i] = Grant{RetryAfter: time.Second}
		}
		grants[i].Taken = false
	}
	return grants, s.ReturnAllowances(ctx, taken)
}

// ReturnAllowances gives one of each limit back that was taken for something which was then refused.
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
