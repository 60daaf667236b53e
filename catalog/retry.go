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

// mostTries is how often what conflicts with others' work is done at most.
const mostTries = 6

// pool runs statements of their own, each of which is repeated when Postgres has undone it for the sake of another
// session: a deadlock, or a conflict where the isolation is stricter than read committed.
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

// collect reads the rows of a query, and reads them again where q is the pool and the statement was undone.
func collect[T any](ctx context.Context, q querier, sql string, args []any, read func(pgx.Rows) (T, error)) (found T, err error) {
	once := func() error {
		rows, err := q.Query(ctx, sql, args...)
		if err != nil {
			return err
		}
		found, err = read(rows)
		return err
	}
	if _, alone := q.(pool); !alone { // the transaction has been undone as a whole
		return found, once()
	}
	return found, repeat(ctx, once)
}

// repeat does f again after a short pause while it is undone for the sake of others.
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

// Unavailable tells errors that pass by themselves from defects: the catalog cannot be reached, takes no writes for now, or
// was busy with what stands in the way for too long.
func Unavailable(err error) bool {
	return postgres.Unreachable(err) || errors.Is(err, ErrReadOnly) || postgres.IsCode(err, "25006", "40001", "40P01") // read_only_sql_transaction
}
