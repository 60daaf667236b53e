package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"homeroom/catalog"
)

func (s *server) registerOutcomes() {
	register(s, withPermission(migrateTenants), huma.Operation{
		OperationID: "listMigrationOutcomes", Method: http.MethodGet, Path: "/migrations/{id}/outcomes", Tags: []string{tagFleet},
		Metadata:    flags(needsCatalogOnly),
		Summary:     "List the outcomes of a run",
		Description: "Oldest tenants first, in pages. A tenant that the run has not processed is not listed.",
		Errors:      []int{http.StatusNotFound, http.StatusUnprocessableEntity},
	}, s.listOutcomes)
}

type listOutcomesInput struct {
	RunPath
	PageInput
	State outcomeState `query:"state" doc:"Only outcomes in this state."`
	Limit int          `query:"limit" minimum:"1" maximum:"1000" default:"200" doc:"The size of a page."`
}

// MigrationOutcome is the outcome of a run for a tenant.
type MigrationOutcome struct {
	TenantID    uuid.UUID    `json:"tenantId" doc:"The tenant."`
	Slug        string       `json:"slug,omitempty" doc:"The school's short name for URLs; absent for a spare." example:"lincoln-high"`
	Database    string       `json:"database" doc:"The name of its database." example:"t_agm4dmd5f2vkbonbb5xtyhrnjm"`
	State       outcomeState `json:"state" example:"done"`
	FromVersion uint         `json:"fromVersion" doc:"Its version before." example:"4"`
	ToVersion   uint         `json:"toVersion" doc:"Its version after." example:"5"`
	Problem     string       `json:"problem,omitempty" doc:"Why it failed; the same text for all tenants with the same cause."`
	Passing     bool         `json:"passing,omitempty" doc:"The cause was outside the tenant, such as a lock: the tenant is not quarantined, and the next run tries again."`
	Attempts    int          `json:"attempts" doc:"The number of attempts." example:"1"`
	DurationMS  int64        `json:"durationMs" doc:"The duration." example:"18"`
	FinishedAt  time.Time    `json:"finishedAt" doc:"When it ended."`
}

func outcomeOf(row catalog.Outcome) MigrationOutcome {
	return MigrationOutcome{
		TenantID: row.TenantID, Slug: orZero(row.Slug), Database: row.Database, State: outcomeState(row.State),
		FromVersion: row.FromVersion, ToVersion: row.ToVersion,
		Problem: orZero(row.Problem), Passing: row.Problem != nil && !row.Counts,
		Attempts: row.Attempts, DurationMS: row.DurationMS, FinishedAt: row.FinishedAt.UTC(),
	}
}

// OutcomePage is a page of the list.
type OutcomePage struct {
	Outcomes   []MigrationOutcome `json:"outcomes"`
	NextCursor string             `json:"nextCursor,omitempty" doc:"Continues the list; absent at its end. While the run is open there may be more later."`
}

type listOutcomesOutput struct{ Body OutcomePage }

func (s *server) listOutcomes(ctx context.Context, in *listOutcomesInput) (*listOutcomesOutput, error) {
	run, err := s.viewRun(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	found, err := s.cfg.Catalog.OutcomePage(ctx, run.ID, string(in.State), in.Cursor, in.Limit)
	if err != nil {
		return nil, err
	}
	shown, next := page(found, outcomeOf)
	return &listOutcomesOutput{OutcomePage{shown, next}}, nil
}
