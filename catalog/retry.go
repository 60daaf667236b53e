package catalog

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"homeroom/internal/postgres"
	"homeroom/internal/wait"
)

// mostTries is how often a statement that conflicts with other sessions is run at most.
const mostTries = 6

// pool runs single statements. It repeats a statement when Postgres has aborted it in favour of another session: a
// deadlock, or a conflict under an isolation that is stricter than read committed.
type pool struct{ *pgxpool.Pool }

// Exec implements querier.
func (p pool) Exec(ctx context.Context, sql string, args ...any) (tag pgconn.CommandTag, err error) {
	err = repeat(ctx, func() error {
		tag, err = p.Pool.Exec(ctx, sql, args...)
		return err
	})
	return tag, err
}

// QueryRow implements querier. The statement runs when the row is scanned.
func (p pool) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	return rowFunc(func(dest ...any) error {
		return repeat(ctx, func() error { return p.Pool.QueryRow(ctx, sql, args...).Scan(dest...) })
	})
}

type rowFunc func(dest ...any) error

func (f rowFunc) Scan(dest ...any) error { return f(dest...) }

// collect reads the rows of a query, and reads them again if q is the pool and the statement was aborted.
func collect[T any](ctx context.Context, q querier, sql string, args []any, read func(pgx.Rows) (T, error)) (found T, err error) {
	once := func() error {
		rows, err := q.Query(ctx, sql, args...)
		if err != nil {
			return err
		}
		found, err = read(rows)
		return err
	}
	if _, alone := q.(pool); !alone { // the whole transaction has been aborted
		return found, once()
	}
	return found, repeat(ctx, once)
}

// repeat calls f again after a short pause while it is aborted in favour of other sessions.
func repeat(ctx context.Context, f func() error) error {
	for try := 1; ; try++ {
		err := f()
		if try == mostTries || !postgres.IsCode(err, "40001", "40P01") { // serialization_failure, deadlock_detected
			return err
		}
		pause := rand.N(time.Duration(try) * 10 * time.Millisecond) //nolint:gosec // not a secret
		if wait.For(ctx, pause) != nil {
			return err
		}
	}
}

// Unavailable distinguishes transient errors from defects: the catalog cannot be reached, accepts no writes for now, or
// was blocked by another session for too long.
func Unavailable(err error) bool {
	return postgres.Unreachable(err) || errors.Is(err, ErrReadOnly) || postgres.IsCode(err, "25006", "40001", "40P01") // read_only_sql_transaction
}
