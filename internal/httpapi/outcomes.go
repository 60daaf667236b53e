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
		Summary:     "List how a run went for each tenant",
		Description: "The oldest tenants first, in pages. A tenant that the run has not looked at is not listed.",
		Errors:      []int{http.StatusNotFound, http.StatusUnprocessableEntity},
	}, s.listOutcomes)
}

type listOutcomesInput struct {
	RunPath
	PageInput
	State outcomeState `query:"state" doc:"Only these."`
	Limit int          `query:"limit" minimum:"1" maximum:"1000" default:"200" doc:"How many to list."`
}

// MigrationOutcome is how a run went for a tenant.
type MigrationOutcome struct {
	TenantID    uuid.UUID    `json:"tenantId" doc:"The tenant."`
	Slug        string       `json:"slug,omitempty" doc:"The name by which people find it; absent for a spare." example:"lincoln-high"`
	Database    string       `json:"database" doc:"The name of its database." example:"t_agm4dmd5f2vkbonbb5xtyhrnjm"`
	State       outcomeState `json:"state" example:"done"`
	FromVersion uint         `json:"fromVersion" doc:"The version that it had." example:"4"`
	ToVersion   uint         `json:"toVersion" doc:"The version that it has had since." example:"5"`
	Problem     string       `json:"problem,omitempty" doc:"Why it failed; the same text for all with the same cause."`
	Passing     bool         `json:"passing,omitempty" doc:"The cause lay outside the tenant, such as a lock that somebody held: it is not quarantined, and the next run takes it again."`
	Attempts    int          `json:"attempts" doc:"How often it was tried." example:"1"`
	DurationMS  int64        `json:"durationMs" doc:"How long that took." example:"18"`
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

// OutcomePage is a part of the list.
type OutcomePage struct {
	Outcomes   []MigrationOutcome `json:"outcomes"`
	NextCursor string             `json:"nextCursor,omitempty" doc:"Continues the list; absent at its end. More may follow later while the run is open."`
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
