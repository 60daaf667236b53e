package httpapi

import (
	"context"
	"net/http"
	"strconv"

	"github.com/google/uuid"

	"homeroom/fleet"
)

// maxPlanned is the largest number of tenants in a plan.
const maxPlanned = 1000

// MigrationPlan is what a run would do.
type MigrationPlan struct {
	To          uint                `json:"to" doc:"The version that the tenants would get." example:"5"`
	Down        bool                `json:"down" doc:"Whether that is older than theirs."`
	Total       int                 `json:"total" doc:"How many tenants are behind; 0 means that there is nothing to do." example:"120"`
	Waves       []int               `json:"waves" doc:"The sizes of the waves. The first are the canaries, unless there is only one."`
	Canaries    int                 `json:"canaries" doc:"How many tenants are migrated first, and stop the run if one fails." example:"1"`
	MaxFailures int                 `json:"maxFailures" doc:"How many tenants may fail before the run stops." example:"12"`
	Concurrency int                 `json:"concurrency" doc:"How many tenants of a server are migrated at the same time." example:"8"`
	Files       map[string][]string `json:"files" doc:"The files that a tenant runs, in order, by its version. Empty for a version that this service does not know: such a tenant fails."`
	Others      int                 `json:"otherMigrations" doc:"How many tenants have another set of migrations, which is identified by its first file. No run of this service migrates them." example:"0"`
	Tenants     []PlannedTenant     `json:"tenants" doc:"The first 1,000 of them, in the order of the run."`
}

// PlannedTenant is a tenant that a run would migrate.
type PlannedTenant struct {
	ID       uuid.UUID       `json:"id"`
	Slug     string          `json:"slug,omitempty" doc:"The school's short name for URLs; absent for a spare." example:"lincoln-high"`
	Database string          `json:"database" doc:"The name of its database." example:"t_agm4dmd5f2vkbonbb5xtyhrnjm"`
	Server   string          `json:"server" doc:"The Postgres server of its database." example:"main"`
	Status   migratableState `json:"status" example:"ready"`
	From     uint            `json:"from" doc:"Its version now." example:"4"`
	To       uint            `json:"to" doc:"The version that it would get." example:"5"`
}

// answerPlan answers with what a run would do.
func (s *server) answerPlan(ctx context.Context, options fleet.Options) (*postMigrationOutput, error) {
	plan, err := s.cfg.Fleet.Plan(ctx, options)
	if err != nil {
		return nil, err
	}
	view := MigrationPlan{
		To: plan.To, Down: plan.Down, Total: len(plan.Tenants), Waves: plan.Waves, Canaries: plan.Canaries,
		MaxFailures: plan.MaxFailures, Concurrency: plan.Concurrency, Files: map[string][]string{},
		Others: plan.Status.Others, Tenants: []PlannedTenant{},
	}
	for from, files := range plan.Files {
		view.Files[strconv.FormatUint(uint64(from), 10)] = files
	}
	for _, t := range plan.Tenants[:min(maxPlanned, len(plan.Tenants))] {
		view.Tenants = append(view.Tenants, PlannedTenant{
			ID: t.ID, Slug: t.Slug, Database: t.Database, Server: t.Server, Status: migratableState(t.State), From: t.SchemaVersion, To: plan.To,
		})
	}
	return &postMigrationOutput{Status: http.StatusOK, Body: view}, nil
}
