package catalog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Allowance is how often something may be done: Count times per Window, at once or spread over it.
type Allowance struct {
	Count  int
	Window time.Duration
}

// Grant is the answer to a request for one of an allowance.
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

// takeAllowance takes one, unless there is none or the key is of a known sign-up.
const takeAllowance = `
		insert into rate_limits as r (key, full_at)
		select $1, now() + $2::interval
		where $4 = '' or not exists (select from signups where idempotency_key = $4)
		on conflict (key) do update
		set full_at = greatest(r.full_at, now()) + $2::interval
		where greatest(r.full_at, now()) + $2::interval <= now() + $3::interval
		returning full_at - now()`

// TakeAllowance asks for one of the allowance of the key, which all processes share. A repetition of a known sign-up,
// told by its idempotency key, costs nothing.
//
// The allowance refills evenly (the generic cell rate algorithm, one row and one statement per request). The row is
// unlogged and its commit is not waited for: a crash of Postgres may give the clients a fresh allowance, and the path
// of a sign-up has no fsync for it.
func (s *Store) TakeAllowance(ctx context.Context, key string, allowance Allowance, idempotencyKey string) (Grant, error) {
	interval := allowance.Window / time.Duration(allowance.Count)
	var untilFull time.Duration
	err := s.pool.QueryRow(ctx, takeAllowance, key, interval, allowance.Window, idempotencyKey).Scan(&untilFull)
	if err == nil {
		return Grant{Allowed: true, Taken: true, Remaining: int((allowance.Window - untilFull) / interval)}, nil
	}
	if !errors.Is(err, pgx.ErrNoRows) {
		return Grant{}, fmt.Errorf("take from the allowance: %w", err)
	}
	return s.refused(ctx, key, allowance, interval, idempotencyKey)
}

// refused tells a repetition, which is always allowed, from an allowance that is used up, and how long that lasts.
func (s *Store) refused(ctx context.Context, key string, allowance Allowance, interval time.Duration, idempotencyKey string) (Grant, error) {
	var repetition bool
	var untilFull time.Duration
	err := s.pool.QueryRow(ctx, `
		select exists (select from signups where idempotency_key = $2),
			coalesce((select greatest(full_at - now(), interval '0') from rate_limits where key = $1), interval '0')`,
		key, idempotencyKey).Scan(&repetition, &untilFull)
	if err != nil {
		return Grant{}, fmt.Errorf("read the allowance: %w", err)
	}
	wait := max(untilFull+interval-allowance.Window, 0)
	remaining := max(int((allowance.Window-untilFull)/interval), 0)
	if repetition {
		return Grant{Allowed: true, Remaining: remaining}, nil
	}
	return Grant{Remaining: remaining, RetryAfter: max(wait, time.Second)}, nil
}

// ReturnAllowance gives one back that was taken for something which was then refused.
func (s *Store) ReturnAllowance(ctx context.Context, key string, allowance Allowance) error {
	_, err := s.pool.Exec(ctx, `update rate_limits set full_at = full_at - $2::interval where key = $1`,
		key, allowance.Window/time.Duration(allowance.Count))
	if err != nil {
		return fmt.Errorf("return to the allowance: %w", err)
	}
	return nil
}
