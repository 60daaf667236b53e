package migrations_test

import (
	"errors"
	"testing"

	"github.com/golang-migrate/migrate/v4/database"

	"homeroom/internal/pgtest"
	"homeroom/migrations"
)

// TestTheWaitForTheLockEndsWithLockTimeout, and the error names the role that holds the lock.
func TestTheWaitForTheLockEndsWithLockTimeout(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	holder, conn := connect(t, url), connect(t, url)
	name := ask(t, conn, "select current_database()")
	for _, of := range []string{name, "/" + name} {
		lock, err := database.GenerateAdvisoryLockId(of, "public", "schema_migrations")
		if err != nil {
			t.Fatal(err)
		}
		exec(t, holder, "select pg_advisory_lock("+lock+")")
		exec(t, conn, "set lock_timeout = '50ms'")
		_, err = load(t, "create table a ()").Up(t.Context(), conn)
		var locked *migrations.LockedError
		if !errors.As(err, &locked) || locked.Roles != ask(t, conn, "select current_user") {
			t.Errorf("the lock of %s: %v", of, err)
		}
		if err := migrations.NewDriver(t.Context(), conn).Lock(); !errors.As(err, &locked) {
			t.Errorf("the driver: %v", err)
		}
		exec(t, holder, "select pg_advisory_unlock_all()")
	}
	up(t, load(t, "create table a ()"), conn)
	wantNoLocks(t, conn)
}

func TestAReadOnlyDatabaseIsNotTheFilesFault(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	conn := connect(t, url)
	exec(t, conn, "alter database "+ask(t, conn, "select quote_ident(current_database())")+" set default_transaction_read_only = on")
	var failed *migrations.Error
	closed := connect(t, url)
	if _, err := load(t, "create table a ()").Up(t.Context(), closed); !errors.Is(err, migrations.ErrReadOnly) || errors.As(err, &failed) {
		t.Errorf("it is %v", err)
	}
	if _, err := load(t, "set transaction read only; create table a ()").Up(t.Context(), conn); errors.Is(err, migrations.ErrReadOnly) || !errors.As(err, &failed) {
		t.Errorf("a file that closes its own transaction: %v", err)
	}
}
