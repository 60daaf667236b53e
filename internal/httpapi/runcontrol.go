package httpapi

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"homeroom/catalog"
	"homeroom/internal/problem"
	"homeroom/messages"
)

// runChange is what an operator may do to a run.
type runChange struct {
	verb string
	// to is the state that it leads to.
	to catalog.RunState
}

func (s *server) registerRunControl() {
	for _, op := range []struct {
		change               runChange
		summary, description string
	}{
		{
			runChange{"pause", catalog.RunPaused},
			"Pause a run",
			"The migrations that are going on are cancelled within a second or two, and their tenants are as before the file. No other run can be started meanwhile.",
		},
		{
			runChange{"resume", catalog.RunRunning},
			"Resume a run",
			"A service goes on with the tenants that have no outcome yet, within a few seconds.",
		},
		{
			runChange{"abort", catalog.RunAborted},
			"Abort a run",
			"Ends it. What it has done stays. The migrations that are going on are cancelled within a second or two, and their tenants are as before the file.",
		},
	} {
		register(s, withPermission(migrateTenants), huma.Operation{
			OperationID: op.change.verb + "Migration", Method: http.MethodPost, Path: "/migrations/{id}/" + op.change.verb, Tags: []string{tagFleet},
			Metadata:    flags(needsCatalogOnly),
			Summary:     op.summary,
			Description: op.description + " Done again, it changes nothing. A run that is over is refused.",
			Errors:      []int{http.StatusNotFound, http.StatusUnprocessableEntity},
		}, func(ctx context.Context, in *RunPath) (*runOutput, error) { return s.changeRun(ctx, in.ID, op.change) })
	}
}

// changeRun changes a run and answers with it. One that is in the wanted state already is left alone, so that a repetition
// is harmless; one that is over stays so.
func (s *server) changeRun(ctx context.Context, text string, change runChange) (*runOutput, error) {
	view, err := s.viewRun(ctx, text)
	if err != nil {
		return nil, err
	}
	changed := s.applyChange(ctx, view.ID, change)
	if changed != nil && !errors.Is(changed, catalog.ErrStateChanged) {
		return nil, changed
	}
	if view, err = s.viewRun(ctx, text); err != nil {
		return nil, err
	}
	if changed != nil && view.State != change.to {
		return nil, problem.Invalid(problem.Field{
			Field: "id", Code: "wrong_state", Message: messages.ID("field.run_state", messages.Args{"State": problem.State(view.State)}),
		})
	}
	return &runOutput{view}, nil
}

// applyChange changes the run and writes it down, both or neither.
func (s *server) applyChange(ctx context.Context, id uuid.UUID, change runChange) error {
	event := runEvent(ctx, change.verb, id)
	return s.cfg.Catalog.InTx(ctx, func(tx pgx.Tx) error {
		if err := s.cfg.Catalog.ChangeRunTx(ctx, tx, id, change.to, event.Actor); err != nil {
			return err
		}
		return s.cfg.Catalog.RecordTx(ctx, tx, event)
	})
}

// runEvent is what the audit is told.
func runEvent(ctx context.Context, verb string, run uuid.UUID) catalog.Event {
	return catalog.NewEvent(actor(ctx), "migration."+verb).With(map[string]any{"migration": run})
}
