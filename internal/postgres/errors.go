// Package postgres reads Postgres's errors, takes its advisory locks, and notices when a connection to it is lost.
package postgres

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/puddle/v2"
)

// IsCode tells whether the error is Postgres's with one of these SQLSTATEs
// (https://www.postgresql.org/docs/current/errcodes-appendix.html).
func IsCode(err error, codes ...string) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return false
	}
	return slices.Contains(codes, pg.Code)
}

// IsServerError reports whether the error is Postgres's word, and not that of the way to it.
func IsServerError(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg)
}

// SessionEnded reports whether Postgres said that it ends the session with this error, as at a shutdown.
func SessionEnded(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.SeverityUnlocalized == "FATAL" || pg.SeverityUnlocalized == "PANIC")
}

// Unreachable tells errors of the way to Postgres, which pass, from those of a statement, which do not.
func Unreachable(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		// Connection exceptions, insufficient resources, and an operator's intervention such as a shutdown.
		return strings.HasPrefix(pg.Code, "08") || strings.HasPrefix(pg.Code, "53") || strings.HasPrefix(pg.Code, "57P")
	}
	var connect *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &connect) || errors.As(err, &network) || pgconn.Timeout(err) || pgconn.SafeToRetry(err) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, puddle.ErrClosedPool) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed)
}
