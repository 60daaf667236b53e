package catalog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// ErrRunActive says that another fleet run has not finished.
var ErrRunActive = errors.New("another migration run is active")

// RunState is the state of a fleet run.
type RunState string

// The states of a run. The first two are open: at most one run is.
const (
	// RunRunning: a process works on it, or will within seconds.
	RunRunning RunState = "running"
	// RunPaused: it waits for an operator.
	RunPaused RunState = "paused"
	// RunDone: it has handled every tenant; some may have failed.
	RunDone RunState = "done"
	// RunFailed: it could not work, for a cause outside the tenants.
	RunFailed RunState = "failed"
	// RunStopped: a canary failed, or more tenants than may fail; the others were not changed.
	RunStopped RunState = "stopped"
	// RunAborted: an operator aborted it.
	RunAborted RunState = "aborted"
)

// RunStates are all states of a run.
var RunStates = []RunState{RunRunning, RunPaused, RunDone, RunFailed, RunStopped, RunAborted}

// Open reports whether a run in this state may still change.
func (s RunState) Open() bool { return s == RunRunning || s == RunPaused }

// NewRun are the parameters of a run.
type NewRun struct {
	ID uuid.UUID
	// Lineage and SchemaHash name the migrations; ToVersion is the target version.
	Lineage, SchemaHash string
	ToVersion           uint
	// Direction is "up" or "down".
	Direction string
	// Total is the number of its tenants.
	Total     int
	StartedBy string
	// OnlyTenants are the selected tenants; empty means the whole fleet.
	OnlyTenants []string
	// Canaries is the size of the first wave, MaxFailures how many tenants may fail before it stops, Concurrency how
	// many tenants of one server are migrated at the same time.
	Canaries, MaxFailures, Concurrency int
	// SkipQuarantined omits the quarantined tenants.
	SkipQuarantined bool
	// Hold holds its tenants at its version until another run names them.
	Hold bool
}

// Run is a fleet run.
type Run struct {
	NewRun
	State   RunState
	Problem *string
	// ChangedBy is the operator who last paused, resumed or aborted it.
	ChangedBy *string
	StartedAt time.Time
	// FinishedAt is nil while it is open.
	FinishedAt *time.Time
	// Done and Failed count its outcomes so far; Counting are the failures that were caused by the migration.
	Done, Failed, Counting int
	// Rate is how many outcomes per second it had in the last half minute, or since it began.
	Rate float64
}

// ETA is how long it will take at its present rate; zero if that is unknown.
func (r Run) ETA() time.Duration {
	left := r.Total - r.Done - r.Failed
	if r.State != RunRunning || r.Rate <= 0 || left <= 0 {
		return 0
	}
	return time.Duration(float64(left) / r.Rate * float64(time.Second))
}

const runSelect = `
	select id, lineage, schema_hash, to_version, direction, total, started_by, only_tenants, canaries, max_failures,
		concurrency, skip_quarantined, hold, state, problem, changed_by, started_at, finished_at, done, failed, counting,
		lately / greatest(extract(epoch from least(now() - started_at, interval '30 s')), 0.1)::float8 as rate
	from migration_runs,
		lateral (
			select count(*) filter (where outcome.state = 'done') as done,
				count(*) filter (where outcome.state = 'failed') as failed,
				count(*) filter (where outcome.state = 'failed' and counts) as counting,
				count(*) filter (where outcome.finished_at > now() - interval '30 s') as lately
			from migration_outcomes outcome
			where run_id = migration_runs.id
		) counted`

// StartRun inserts the row of a run, on which a process then works. It fails with [ErrRunActive] as long as another one
// is open.
func (s *Store) StartRun(ctx context.Context, run NewRun) error {
	_, err := s.pool.Exec(ctx, `
		insert into migration_runs (id, lineage, schema_hash, to_version, direction, total, started_by, only_tenants, canaries,
			max_failures, concurrency, skip_quarantined, hold)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`,
		run.ID, run.Lineage, run.SchemaHash, run.ToVersion, run.Direction, run.Total, run.StartedBy, emptyNotNil(run.OnlyTenants),
		run.Canaries, run.MaxFailures, run.Concurrency, run.SkipQuarantined, run.Hold)
	if err != nil {
		return fmt.Errorf("start migration run: %w", known(err))
	}
	return nil
}

// FinishRun ends a running run in one of the final states. It fails with [ErrStateChanged] when it is not running.
func (s *Store) FinishRun(ctx context.Context, id uuid.UUID, state RunState, problem string) error {
	return changeOne(ctx, s.pool, "finish migration run", id, `
		update migration_runs
		set state = $2, problem = nullif($3, ''), finished_at = now()
		where id = $1 and state = 'running'`, id, state, problem)
}

// ChangeRun pauses, resumes or aborts an open run for an operator; to is the new state. The workers of a run that is
// paused or aborted stop within a second, and cancel their migrations. It fails with [ErrStateChanged] if the run is
// over, or in that state already.
func (s *Store) ChangeRun(ctx context.Context, id uuid.UUID, to RunState, by string) error {
	return changeRun(ctx, s.pool, id, to, by)
}

// ChangeRunTx is [Store.ChangeRun] in the caller's transaction.
func (s *Store) ChangeRunTx(ctx context.Context, tx pgx.Tx, id uuid.UUID, to RunState, by string) error {
	return changeRun(ctx, tx, id, to, by)
}

func changeRun(ctx context.Context, q querier, id uuid.UUID, to RunState, by string) error {
	return changeOne(ctx, q, "change migration run to "+string(to), id, `
		update migration_runs
		set state = $2, changed_by = $3, problem = case $2 when 'aborted' then 'aborted by ' || $3 end,
			finished_at = case $2 when 'aborted' then now() end
		where id = $1 and state in ('running', 'paused') and state <> $2`, id, to, by)
}

// OpenRun finds the run that is running or paused, or [ErrNotFound].
func (s *Store) OpenRun(ctx context.Context) (Run, error) {
	run, err := one[Run](ctx, s.pool, runSelect+` where migration_runs.state in ('running', 'paused')`)
	if err != nil {
		return Run{}, fmt.Errorf("find the open migration run: %w", known(err))
	}
	return run, nil
}

// LatestRun finds the newest run of the whole fleet with exactly these files, or [ErrNotFound].
func (s *Store) LatestRun(ctx context.Context, schemaHash string) (Run, error) {
	run, err := one[Run](ctx, s.pool, runSelect+`
		where schema_hash = $1 and only_tenants = '{}' and direction = 'up'
		order by started_at desc, id desc
		limit 1`, schemaHash)
	if err != nil {
		return Run{}, fmt.Errorf("find the latest migration run: %w", known(err))
	}
	return run, nil
}

// RunByID finds a run.
func (s *Store) RunByID(ctx context.Context, id uuid.UUID) (Run, error) {
	run, err := one[Run](ctx, s.pool, runSelect+` where id = $1`, id)
	if err != nil {
		return Run{}, fmt.Errorf("find migration run %s: %w", id, known(err))
	}
	return run, nil
}

// RunStateNow reads only the state of a run, which its workers do often.
func (s *Store) RunStateNow(ctx context.Context, id uuid.UUID) (RunState, error) {
	var state RunState
	if err := s.pool.QueryRow(ctx, `select state from migration_runs where id = $1`, id).Scan(&state); err != nil {
		return "", fmt.Errorf("read state of migration run %s: %w", id, known(err))
	}
	return state, nil
}

var runList = list[Run]{
	query: runSelect + ` where true`, key: "started_at, id", table: "migration_runs", newestFirst: true,
	id: func(run Run) uuid.UUID { return run.ID },
}

// Runs lists runs, newest first. It fails with [ErrBadCursor].
func (s *Store) Runs(ctx context.Context, cursor string, limit int) (Page[Run], error) {
	runs, err := runList.page(ctx, s.pool, cursor, limit)
	if err != nil {
		return Page[Run]{}, fmt.Errorf("list migration runs: %w", err)
	}
	return runs, nil
}
