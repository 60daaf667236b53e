package catalog_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"homeroom/catalog"
	"homeroom/internal/pgtest"
)

// openStore opens a catalog in a database that statements have set up.
func openStore(t *testing.T, setUp ...string) *catalog.Store {
	t.Helper()
	url := pgtest.Database(t)
	conn := pgtest.Connect(t, url)
	defer conn.Close(context.Background())
	for _, statement := range setUp {
		_, err := conn.Exec(t.Context(), `do $$ begin execute format('alter database %I set `+statement+`', current_database()); end $$`)
		if err != nil {
			t.Fatal(err)
		}
	}
	store, err := catalog.Open(t.Context(), catalog.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	return store
}

func TestSessionsDoNotDependOnTheDatabasesSettings(t *testing.T) {
	t.Parallel()
	store := openStore(t, "default_transaction_isolation = ''serializable''", "statement_timeout = ''1ms''", "lock_timeout = ''1ms''",
		"idle_session_timeout = ''1ms''", "idle_in_transaction_session_timeout = ''1ms''")
	for name, want := range map[string]string{
		"transaction_isolation": "read committed", "statement_timeout": "2min", "lock_timeout": "0", "idle_session_timeout": "0",
		"idle_in_transaction_session_timeout": "5min",
	} {
		if got := value[string](t, store, "select current_setting('"+name+"')"); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
}

func TestAReadOnlyCatalogIsNotReady(t *testing.T) {
	t.Parallel()
	store := openStore(t)
	if err := store.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err := store.Pool().Exec(t.Context(), `do $$ begin execute format('alter database %I set default_transaction_read_only = on', current_database()); end $$`)
	if err != nil {
		t.Fatal(err)
	}
	store.Pool().Reset() // as a failover ends all sessions
	if err := store.Ping(t.Context()); !errors.Is(err, catalog.ErrReadOnly) {
		t.Errorf("it says %v", err)
	}
}

func TestWhatPostgresUndoesForOthersIsRepeated(t *testing.T) {
	t.Parallel()
	store := openStore(t)
	// Two transactions take two locks in opposite order, each takes its first one before either takes its second.
	var both, group sync.WaitGroup
	both.Add(2)
	var runs atomic.Int32
	for _, order := range [][2]int{{1, 2}, {2, 1}} {
		group.Go(func() {
			first := true
			err := store.InTx(t.Context(), func(tx pgx.Tx) error {
				runs.Add(1)
				if _, err := tx.Exec(t.Context(), "select pg_advisory_xact_lock($1)", order[0]); err != nil {
					return err
				}
				if first {
					first = false
					both.Done()
					both.Wait()
				}
				_, err := tx.Exec(t.Context(), "select pg_advisory_xact_lock($1)", order[1])
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if runs.Load() < 3 {
		t.Errorf("nothing was repeated: %d runs", runs.Load())
	}
}

func TestStatementsAreRepeatedUnderSerializableIsolation(t *testing.T) {
	t.Parallel()
	store := openStore(t)
	_, err := store.Pool().Exec(t.Context(), `
		create sequence tries;
		create function conflict() returns trigger language plpgsql as $$ begin
			if nextval('tries') < 4 then raise 'could not serialize' using errcode = '40001'; end if;
			return new;
		end $$;
		create trigger conflict before insert on servers for each row execute function conflict()`)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.RegisterServers(t.Context(), []string{"main"}); err != nil {
		t.Errorf("it says %v", err)
	}
}
