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

// runChange is a change of a run by an operator.
type runChange struct {
	verb string
	// to is the state after it.
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
			"Running migrations are cancelled within a second or two, and their tenants are as before the file. No other run can be started meanwhile.",
		},
		{
			runChange{"resume", catalog.RunRunning},
			"Resume a run",
			"Within a few seconds a service continues with the tenants that have no outcome yet.",
		},
		{
			runChange{"abort", catalog.RunAborted},
			"Abort a run",
			"Ends it. What it has done stays. Running migrations are cancelled within a second or two, and their tenants are as before the file.",
		},
	} {
		register(s, withPermission(migrateTenants), huma.Operation{
			OperationID: op.change.verb + "Migration", Method: http.MethodPost, Path: "/migrations/{id}/" + op.change.verb, Tags: []string{tagFleet},
			Metadata:    flags(needsCatalogOnly),
			Summary:     op.summary,
			Description: op.description + " A repetition changes nothing. A run that is over is refused.",
			Errors:      []int{http.StatusNotFound, http.StatusUnprocessableEntity},
		}, func(ctx context.Context, in *RunPath) (*runOutput, error) { return s.changeRun(ctx, in.ID, op.change) })
	}
}

// changeRun changes a run and answers with it. A run that is in the wanted state already is not changed, so that a
// repetition is harmless; a run that is over is refused.
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

// applyChange changes the run and writes the audit event, in one transaction.
func (s *server) applyChange(ctx context.Context, id uuid.UUID, change runChange) error {
	event := runEvent(ctx, change.verb, id)
	return s.cfg.Catalog.InTx(ctx, func(tx pgx.Tx) error {
		if err := s.cfg.Catalog.ChangeRunTx(ctx, tx, id, change.to, event.Actor); err != nil {
			return err
		}
		return s.cfg.Catalog.RecordTx(ctx, tx, event)
	})
}

// runEvent returns the audit event.
func runEvent(ctx context.Context, verb string, run uuid.UUID) catalog.Event {
	return catalog.NewEvent(actor(ctx), "migration."+verb).With(map[string]any{"migration": run})
}
