package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// ErrPooler means that an address leads to a connection pooler whose clients share sessions, such as PgBouncer in
// transaction mode. Locks belong to sessions, so two processes would each believe to hold the same one.
var ErrPooler = errors.New("the address leads to a connection pooler such as PgBouncer: use the address and port of Postgres itself")

// explainPooler recognises a pooler by its refusal of settings that belong to a session.
func explainPooler(err error) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == "08P01" && strings.Contains(pg.Message, "unsupported startup parameter") {
		return fmt.Errorf("%w (it said: %s)", ErrPooler, pg.Message)
	}
	return err
}

// Connect is [pgx.ConnectConfig], and fails with [ErrPooler] where a pooler refuses the configuration's settings.
func Connect(ctx context.Context, cfg *pgx.ConnConfig) (*pgx.Conn, error) {
	conn, err := pgx.ConnectConfig(ctx, cfg)
	return conn, explainPooler(err)
}

// CheckDirect fails with [ErrPooler] when the connection's session is not its own. A pooler gives its clients a process id of
// its own making; only then is it looked whether two clients at work get one another's sessions.
func CheckDirect(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	before, err := backend(ctx, conn)
	if err != nil || before == conn.PgConn().PID() {
		return err
	}
	cfg := conn.Config().Copy()
	other, err := Connect(ctx, cfg)
	if err != nil {
		return fmt.Errorf("open a second connection: %w", err)
	}
	defer other.Close(context.WithoutCancel(ctx))
	during, after, err := interleave(ctx, conn, other)
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("%w (two transactions at once have to wait for one another there)", ErrPooler)
	}
	if err != nil {
		return err
	}
	if before != during || during != after {
		return ErrPooler
	}
	return nil
}

// interleave has both connections in a transaction at once. The one that ends first gives its session back first, so that a
// pooler hands out the other's session next.
func interleave(ctx context.Context, conn, other *pgx.Conn) (during, after uint32, err error) {
	for _, c := range []*pgx.Conn{conn, other} {
		if _, err = c.Exec(ctx, "begin"); err != nil {
			return 0, 0, fmt.Errorf("begin a transaction: %w", err)
		}
	}
	if during, err = backend(ctx, conn); err != nil {
		return 0, 0, err
	}
	for _, c := range []*pgx.Conn{conn, other} {
		if _, err = c.Exec(ctx, "commit"); err != nil {
			return 0, 0, fmt.Errorf("end a transaction: %w", err)
		}
	}
	after, err = backend(ctx, conn)
	return during, after, err
}

// backend asks which process serves the connection, in a message of its own: a prepared statement would be a session's.
func backend(ctx context.Context, conn *pgx.Conn) (uint32, error) {
	var pid uint32
	if err := conn.QueryRow(ctx, "select pg_backend_pid()", pgx.QueryExecModeSimpleProtocol).Scan(&pid); err != nil {
		return 0, fmt.Errorf("ask for the session's process: %w", err)
	}
	return pid, nil
}
