package migrations_test

import (
	"context"
	"net"
	"testing"
	"testing/fstest"

	"github.com/jackc/pgx/v5"

	"homeroom/internal/pgtest"
	"homeroom/migrations"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// connect opens a session that ends with the test. Each wire wraps its network connection before use.
func connect(t testing.TB, url string, wires ...func(net.Conn) net.Conn) *pgx.Conn {
	t.Helper()
	config, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	dial := config.DialFunc
	config.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		for _, wire := range wires {
			if err == nil {
				conn = wire(conn)
			}
		}
		return conn, err
	}
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

// load makes a set of the contents of up files, numbered from 1.
func load(t testing.TB, ups ...string) *migrations.Set {
	t.Helper()
	set, err := migrations.Load(folder(ups...))
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// folder returns the files of load.
func folder(ups ...string) fstest.MapFS {
	files := fstest.MapFS{}
	for i, up := range ups {
		name := string(rune('1'+i)) + "_step.up.sql"
		files["00000"+name] = &fstest.MapFile{Data: []byte(up)}
	}
	return files
}

func exec(t testing.TB, conn *pgx.Conn, sql string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// ask returns the single text that a query returns.
func ask(t testing.TB, conn *pgx.Conn, sql string) string {
	t.Helper()
	var answer string
	if err := conn.QueryRow(t.Context(), sql, pgx.QueryExecModeSimpleProtocol).Scan(&answer); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return answer
}

// up migrates and expects success.
func up(t testing.TB, set *migrations.Set, conn *pgx.Conn) migrations.Result {
	t.Helper()
	result, err := set.Up(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func wantStatus(t testing.TB, set *migrations.Set, conn *pgx.Conn, want migrations.Status) {
	t.Helper()
	got, err := set.Status(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Errorf("status = %+v, want %+v", got, want)
	}
}

// tables returns the names of the tables.
const tables = `select coalesce(string_agg(relname, ' ' order by relname), '') from pg_class
	where relnamespace = 'public'::regnamespace and relkind = 'r'`

func wantTables(t testing.TB, conn *pgx.Conn, want string) {
	t.Helper()
	if got := ask(t, conn, tables); got != want {
		t.Errorf("tables = %q, want %q", got, want)
	}
}

// wantNoLocks checks that all locks on migrations were released.
func wantNoLocks(t testing.TB, conn *pgx.Conn) {
	t.Helper()
	const locks = `select count(*)::text from pg_locks join pg_database d on d.oid = database
		where locktype = 'advisory' and datname = current_database()`
	if got := ask(t, conn, locks); got != "0" {
		t.Errorf("%s advisory locks are left", got)
	}
}

// newDatabase opens a session in a new, empty database.
func newDatabase(t testing.TB) *pgx.Conn {
	t.Helper()
	return connect(t, pgtest.Database(t))
}
