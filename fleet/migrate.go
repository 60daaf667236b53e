package fleet

import (
	"context"
	"errors"
	"strings"
	"time"

	"homeroom/catalog"
	"homeroom/internal/display"
	"homeroom/internal/killpoint"
	"homeroom/internal/postgres"
	"homeroom/internal/wait"
	"homeroom/migrations"
	"homeroom/tenant"
)

// The directions of a run, and the states of an outcome.
const (
	directionUp   = "up"
	directionDown = "down"

	stateDone   = "done"
	stateFailed = "failed"
)

// Directions are the directions that a run can have, and OutcomeStates how it can end for a tenant.
var (
	Directions    = []string{directionUp, directionDown}
	OutcomeStates = []string{stateDone, stateFailed}
)

// errStopped says that the worker stopped while a tenant waited for its next attempt.
var errStopped = errors.New("the run has stopped")

// migrateOne migrates a tenant. Its error says that the tenant's server does not answer, or that ctx or the worker
// has stopped; failures of the tenant are in the outcome.
func (p *runWorker) migrateOne(ctx context.Context, t catalog.Tenant) (catalog.Outcome, error) {
	started := time.Now()
	killpoint.Here("fleet.tenant_chosen")
	result, attempts, err := p.try(ctx, t)
	killpoint.Here("fleet.tenant_tried")
	if err != nil && ctx.Err() != nil {
		return catalog.Outcome{}, ctx.Err()
	}
	if errors.Is(err, errStopped) {
		return catalog.Outcome{}, err
	}
	if postgres.Unreachable(err) {
		if server, unknown := p.cfg.Servers.Get(t.Server); unknown == nil && server.Ping(ctx) != nil {
			return catalog.Outcome{}, err
		}
	}
	if result.Resolved != "" {
		p.cfg.Logger.Warn("resolved an interrupted migration of a tenant", "tenant", t.ID, "slug", t.Slug, "found", result.Resolved)
	}
	outcome := catalog.Outcome{
		TenantID: t.ID, Database: t.Database, State: stateDone, FromVersion: t.SchemaVersion, ToVersion: result.To,
		DurationMS: time.Since(started).Milliseconds(), Attempts: attempts, Counts: true,
	}
	if t.Slug != "" {
		outcome.Slug = &t.Slug
	}
	if err != nil {
		problem := problemText(err)
		outcome.State, outcome.Problem, outcome.Counts = stateFailed, &problem, !transient(err)
		if result.From == 0 && len(result.Applied) == 0 { // the database was not read
			outcome.ToVersion = t.SchemaVersion
		}
		p.cfg.Logger.Error("migrate a tenant", "tenant", t.ID, "slug", t.Slug, "database", t.Database, "error", problem)
	}
	return outcome, nil
}

const (
	firstRetry = 100 * time.Millisecond
	lastRetry  = 4 * time.Second
)

// try migrates a tenant, and retries for a while when the cause is temporary. A migration waits for a table's lock
// only briefly, because all readers of that table wait behind it; between two attempts they continue.
func (p *runWorker) try(ctx context.Context, t catalog.Tenant) (result migrations.Result, attempts int, err error) {
	server, err := p.cfg.Servers.Get(t.Server)
	if err != nil {
		return migrations.Result{}, 1, err
	}
	until := time.Now().Add(p.cfg.RetryFor)
	for delay := firstRetry; ; delay = min(2*delay, lastRetry) {
		attempts++
		if p.run.Direction == directionDown {
			result, err = server.MigrateDownTo(ctx, tenant.ID(t.ID), p.run.ToVersion)
		} else {
			result, err = server.MigrateTo(ctx, tenant.ID(t.ID), p.run.ToVersion)
		}
		if err == nil || !retryable(err) || attempts > 1 && time.Now().After(until) {
			return result, attempts, err
		}
		if p.stopped(t.Server) {
			return result, attempts, errStopped
		}
		if wait.For(ctx, delay/2+p.jitter(delay)) != nil {
			return result, attempts, err
		}
	}
}

// problemText returns the problem without the tenant's name: the same text for all tenants with the same problem.
func problemText(err error) string {
	var failed *migrations.Error
	var state *migrations.StateError
	var locked *migrations.LockedError
	switch {
	case errors.As(err, &failed):
		return failed.Error()
	case errors.As(err, &state):
		return state.Error()
	case errors.Is(err, migrations.ErrReadOnly):
		return migrations.ErrReadOnly.Error()
	case errors.As(err, &locked):
		return locked.Error()
	case errors.Is(err, tenant.ErrBusy):
		return tenant.ErrBusy.Error()
	}
	return oneLine(err)
}

// oneLine returns the text of an error on one line, also of several joined errors.
func oneLine(err error) string { return display.Text(strings.ReplaceAll(err.Error(), "\n", "; ")) }

// transient reports whether a cause lies outside the tenant: a lock, a server that does not answer, a deadlock.
// Such a cause fails the tenant in this run, and does not quarantine it.
//
// An error that Postgres returns for a statement of a file is the file's own, whatever its code, unless another
// session is the cause. Other errors happen to the session before or between files.
func transient(err error) bool {
	var state *migrations.StateError
	var file *migrations.Error
	switch {
	case errors.Is(err, tenant.ErrBusy), errors.Is(err, migrations.ErrReadOnly):
		return true
	case errors.As(err, &state), errors.As(err, &file) && file.Committed:
		return false
	case postgres.IsCode(err, "55P03", "40001", "40P01"): // lock_not_available, serialization_failure, deadlock_detected
		return true
	case errors.As(err, &file) && postgres.IsServerError(err):
		return false
	}
	// object_not_in_prerequisite_state and read_only_sql_transaction: a database that is closed for a while, a standby.
	return postgres.IsCode(err, "55000", "25006") || postgres.Unreachable(err)
}

// retryable reports whether another attempt may succeed: the cause is temporary, or the session was ended. Where
// sessions are ended again and again, the file is the cause.
func retryable(err error) bool { return transient(err) || postgres.SessionEnded(err) }
