package retention_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"homeroom/catalog"
	"homeroom/internal/pgtest"
	"homeroom/internal/retention"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const day = 24 * time.Hour

// setup makes a catalog with 1,050 old and 5 young sign-ups that ended without a school, and a table that records the
// size of each deleted batch.
func setup(t *testing.T) *catalog.Store {
	t.Helper()
	store, err := catalog.Open(t.Context(), catalog.Config{URL: pgtest.Database(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	for _, sql := range []string{
		`insert into signups (id, request_hash, user_id, email, school_name, status, finished_at)
		select gen_random_uuid(), '', gen_random_uuid(), 'ada@lincoln.example', 'S', 'expired',
			now() - case when n <= 1050 then interval '40 days' else interval '20 days' end
		from generate_series(1, 1055) as n`,
		`create table batches (n bigint)`,
		`create function note_batch() returns trigger language plpgsql as
			'begin insert into batches select count(*) from gone having count(*) > 0; return null; end'`,
		`create trigger note_batch after delete on signups referencing old table as gone for each statement execute function note_batch()`,
	} {
		if _, err := store.Pool().Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	return store
}

func sweeper(t *testing.T, store *catalog.Store, signups time.Duration) *retention.Sweeper {
	t.Helper()
	s, err := retention.New(retention.Config{Catalog: store, Signups: signups, Batch: 100, Pause: time.Nanosecond})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// left counts the sign-ups, and the deleted batches.
func left(t *testing.T, store *catalog.Store) (signups, batches, largest int) {
	t.Helper()
	err := store.Pool().QueryRow(t.Context(), `
		select (select count(*) from signups), count(*), coalesce(max(n), 0) from batches`).Scan(&signups, &batches, &largest)
	if err != nil {
		t.Fatal(err)
	}
	return signups, batches, largest
}

func TestManyOldRowsGoInBatches(t *testing.T) {
	t.Parallel()
	store := setup(t)
	if err := sweeper(t, store, 30*day).Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if signups, batches, largest := left(t, store); signups != 5 || batches != 11 || largest != 100 {
		t.Errorf("%d are left; %d batches of at most %d were deleted", signups, batches, largest)
	}
}

func TestPermanentRowsAreKept(t *testing.T) {
	t.Parallel()
	store := setup(t)
	if err := sweeper(t, store, 0).Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if signups, _, _ := left(t, store); signups != 1055 {
		t.Errorf("%d are left", signups)
	}
}

func TestOneProcessSweepsAtATime(t *testing.T) {
	t.Parallel()
	store := setup(t)
	s := sweeper(t, store, 30*day)
	ran, err := store.Exclusive(t.Context(), "retention", func(ctx context.Context) error { return s.Sweep(ctx) })
	if err != nil || !ran {
		t.Fatal(ran, err)
	}
	if signups, _, _ := left(t, store); signups != 1055 {
		t.Errorf("with another process sweeping, it left %d", signups)
	}
}

// A table that cannot be swept does not keep the others.
func TestAFailingTableDoesNotStopTheOthers(t *testing.T) {
	t.Parallel()
	store := setup(t)
	if _, err := store.Pool().Exec(t.Context(), "alter table rate_limits rename to elsewhere"); err != nil {
		t.Fatal(err)
	}
	if err := sweeper(t, store, 30*day).Sweep(t.Context()); err == nil {
		t.Error("it returns no error about the missing table")
	}
	if signups, _, _ := left(t, store); signups != 5 {
		t.Errorf("%d are left", signups)
	}
}

// signal is a log that signals its first line.
type signal chan struct{}

func (s signal) Write(line []byte) (int, error) {
	select {
	case s <- struct{}{}:
	default:
	}
	return len(line), nil
}

// A process may live only for a short time.
func TestTheFirstSweepComesSoonAfterTheStart(t *testing.T) {
	t.Parallel()
	store := setup(t)
	ctx, stop := context.WithCancel(t.Context())
	logged, ended := make(signal, 1), make(chan struct{})
	s, err := retention.New(retention.Config{Catalog: store, Signups: 30 * day, Logger: slog.New(slog.NewTextHandler(logged, nil))})
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(ended)
		s.Run(ctx)
	}()
	<-logged
	if signups, _, _ := left(t, store); signups != 5 {
		t.Errorf("%d are left", signups)
	}
	stop()
	<-ended
}

func TestASweeperNeedsACatalog(t *testing.T) {
	t.Parallel()
	if _, err := retention.New(retention.Config{}); err == nil {
		t.Error("a sweeper without a catalog")
	}
}
