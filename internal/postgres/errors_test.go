package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"homeroom/internal/postgres"
)

func TestUnreachable(t *testing.T) {
	t.Parallel()
	_, refused := pgx.Connect(t.Context(), "postgres://u:p@127.0.0.1:1/d")
	for _, c := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{errors.New("a defect"), false},
		{&pgconn.PgError{Code: "42703"}, false}, // undefined_column
		{&pgconn.PgError{Code: "3D000"}, false}, // invalid_catalog_name
		{&pgconn.PgError{Code: "57P01"}, true},  // admin_shutdown
		{&pgconn.PgError{Code: "53300"}, true},  // too_many_connections
		{&pgconn.PgError{Code: "53200"}, true},  // out_of_memory, for locks too
		{&pgconn.PgError{Code: "08006"}, true},  // connection_failure
		{refused, true},
		{io.ErrUnexpectedEOF, true},
		{net.ErrClosed, true},
		{context.DeadlineExceeded, true},
		{context.Canceled, false},
	} {
		if got := postgres.Unreachable(fmt.Errorf("wrapped: %w", c.err)); got != c.want {
			t.Errorf("%v: %v, want %v", c.err, got, c.want)
		}
	}
}

func TestIsCode(t *testing.T) {
	t.Parallel()
	err := fmt.Errorf("wrapped: %w", &pgconn.PgError{Code: "42P04"})
	if !postgres.IsCode(err, "23505", "42P04") || postgres.IsCode(err, "23505") || postgres.IsCode(io.EOF, "42P04") {
		t.Error("it does not know the code")
	}
}
