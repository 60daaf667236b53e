package pgtest

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// Script runs a file of SQL as psql would, on a server's database "postgres", statement by statement. Of psql's own
// commands it knows \connect with a database, and \gexec at the end of a line. A statement ends at the end of a line.
func Script(t testing.TB, url func(database string) string, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	enter := func(database string) *pgx.Conn {
		conn, err := pgx.Connect(t.Context(), url(database))
		if err != nil {
			t.Fatalf("pgtest: enter database %s: %v", database, err)
		}
		return conn
	}
	conn := enter("postgres")
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	var statement strings.Builder
	for line := range strings.Lines(string(text)) {
		trimmed := strings.TrimSpace(line)
		if database, ok := strings.CutPrefix(trimmed, `\connect `); ok {
			_ = conn.Close(t.Context())
			conn = enter(database)
			continue
		}
		query, generates := strings.CutSuffix(trimmed, `\gexec`)
		if generates {
			line = query
		}
		statement.WriteString(line)
		inBody := strings.Count(statement.String(), "$$")%2 == 1
		switch sql := statement.String(); {
		case inBody || !generates && !strings.HasSuffix(trimmed, ";"):
			continue
		case generates:
			generated(t, conn, sql)
		default:
			run(t, conn, sql)
		}
		statement.Reset()
	}
}

// generated runs the statements that a query returns.
func generated(t testing.TB, conn *pgx.Conn, query string) {
	t.Helper()
	rows, err := conn.Query(t.Context(), query)
	if err != nil {
		t.Fatalf("pgtest: %s: %v", query, err)
	}
	statements, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatalf("pgtest: %s: %v", query, err)
	}
	for _, statement := range statements {
		run(t, conn, statement)
	}
}

func run(t testing.TB, conn *pgx.Conn, statement string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), statement, pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatalf("pgtest: %s: %v", statement, err)
	}
}
