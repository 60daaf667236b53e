package httpapi

import (
	"context"
	"math"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"homeroom/catalog"
	"homeroom/fleet"
	"homeroom/messages"
)

// migrateTenants is the permission for runs over the fleet.
const migrateTenants = "migrate:tenants"

func (s *server) registerRuns() {
	who := withPermission(migrateTenants)
	s.registerRunStart()
	register(s, who, huma.Operation{
		OperationID: "listMigrations", Method: http.MethodGet, Path: "/migrations", Tags: []string{tagFleet},
		Metadata:    flags(needsCatalogOnly),
		Summary:     "List the runs",
		Description: "Newest first, in pages.",
		Errors:      []int{http.StatusUnprocessableEntity},
	}, s.listRuns)
	register(s, who, huma.Operation{
		OperationID: "getMigration", Method: http.MethodGet, Path: "/migrations/{id}", Tags: []string{tagFleet},
		Metadata:    flags(needsCatalogOnly),
		Summary:     "Read a run",
		Description: "Its progress, and its failures by cause.",
		Errors:      []int{http.StatusNotFound},
	}, s.getRun)
	register(s, who, streaming(huma.Operation{
		OperationID: "followMigration", Method: http.MethodGet, Path: "/migrations/{id}/events", Tags: []string{tagFleet},
		Summary: "Follow a run",
		Description: "Final are done, failed, stopped and aborted. There are at most 4 events a second. " +
			"An EventSource cannot send the access token; in a browser, read the body of a `fetch` instead.",
	}, "migration", "/migrations/{id}", `{"id":"0199…","state":"running","total":120,"done":37,"failed":1,…}`), s.getRunEvents)
	s.registerOutcomes()
	s.registerRunControl()
}

// Migration is a run over the fleet, as a list shows it.
type Migration struct {
	ID            uuid.UUID        `json:"id"`
	State         catalog.RunState `json:"state" doc:"@runState" example:"running"`
	ToVersion     uint             `json:"toVersion" doc:"The schema version that the tenants get." example:"5"`
	Direction     runDirection     `json:"direction" doc:"down migrates tenants to an older version." example:"up"`
	Total         int              `json:"total" doc:"How many tenants were behind when it began." example:"120"`
	Done          int              `json:"done" doc:"How many have been migrated." example:"37"`
	Failed        int              `json:"failed" doc:"How many could not be." example:"1"`
	Wave          int              `json:"wave" doc:"The number of the current wave, from 1." example:"3"`
	Waves         int              `json:"waves" doc:"The number of waves: the canaries, then each ten times as large as the one before." example:"4"`
	Canaries      int              `json:"canaries" doc:"How many tenants are in the first wave, whose failure stops the run; 0 if all tenants are in one wave." example:"1"`
	MaxFailures   int              `json:"maxFailures" doc:"How many tenants may fail before it stops." example:"12"`
	Concurrency   int              `json:"concurrency" doc:"How many tenants of a server are migrated at the same time." example:"8"`
	StartedBy     string           `json:"startedBy" doc:"Who started it." example:"auth0|0199…"`
	ChangedBy     string           `json:"changedBy,omitempty" doc:"Who paused, resumed or aborted it last."`
	StartedAt     time.Time        `json:"startedAt" doc:"When it began."`
	FinishedAt    *time.Time       `json:"finishedAt,omitempty" doc:"When it ended."`
	Problem       string           `json:"problem,omitempty" doc:"Why it stopped, failed or was aborted."`
	RatePerSecond float64          `json:"ratePerSecond,omitempty" doc:"Tenants per second in the last half minute; only while it runs." example:"42.5"`
	ETASeconds    int              `json:"etaSeconds,omitempty" doc:"The time that is left at this rate; absent if it is not known." example:"2"`
}

func migrationOf(run catalog.Run) Migration {
	progress := fleet.ProgressOf(run)
	m := Migration{
		ID: run.ID, State: run.State, ToVersion: run.ToVersion, Direction: runDirection(run.Direction), Total: run.Total, Done: run.Done,
		Failed: run.Failed, Wave: progress.Wave, Waves: progress.Waves, Canaries: run.Canaries, MaxFailures: run.MaxFailures,
		Concurrency: run.Concurrency, StartedBy: run.StartedBy, StartedAt: run.StartedAt.UTC(),
		ChangedBy: orZero(run.ChangedBy), FinishedAt: utc(run.FinishedAt), Problem: orZero(run.Problem),
		ETASeconds: int(math.Ceil(run.ETA().Seconds())),
	}
	if run.State == catalog.RunRunning {
		m.RatePerSecond = math.Round(run.Rate*100) / 100
	}
	return m
}

// MigrationDetails are the details of a run.
type MigrationDetails struct {
	Migration
	Tenants  []string           `json:"tenants,omitempty" doc:"The chosen tenants; absent for the whole fleet."`
	Failures []MigrationFailure `json:"failures" doc:"The causes of failures, the most frequent first, at most 20."`
}

// MigrationFailure is the cause of failures of tenants.
type MigrationFailure struct {
	Problem  string   `json:"problem" doc:"The cause: the file, its line, and what Postgres says."`
	Tenants  int      `json:"tenants" doc:"How many tenants failed with it."`
	Examples []string `json:"examples" doc:"Up to five of their slugs, or databases for spares."`
}

// Final reports whether the run is over.
func (m MigrationDetails) Final() bool { return !m.State.Open() }

// RunPath names a run. It is exported, since huma does not read unexported embedded structs.
type RunPath struct {
	ID string `path:"id" doc:"The run's id." example:"0199c1b0-7d2e-7aa0-b9a1-0f6f3c1e2d4b"`
}

type runOutput struct{ Body MigrationDetails }

func (s *server) getRun(ctx context.Context, in *RunPath) (*runOutput, error) {
	view, err := s.viewRun(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &runOutput{view}, nil
}

type runEventsInput struct {
	RunPath
	EventsHeader
}

func (s *server) getRunEvents(ctx context.Context, in *runEventsInput) (*huma.StreamResponse, error) {
	return s.events(ctx, "migration", in.ID, in.LastEventID, func(ctx context.Context) (followed, error) { return s.viewRun(ctx, in.ID) })
}

// viewRun finds a run with its failures. A text that is not an id is answered like an unknown id.
func (s *server) viewRun(ctx context.Context, text string) (MigrationDetails, error) {
	id, err := parseID(text, messages.ID("detail.no_run"))
	if err != nil {
		return MigrationDetails{}, err
	}
	run, err := s.cfg.Catalog.RunByID(ctx, id)
	if err != nil {
		return MigrationDetails{}, err
	}
	return s.runDetails(ctx, run)
}

func (s *server) runDetails(ctx context.Context, run catalog.Run) (MigrationDetails, error) {
	view := MigrationDetails{Migration: migrationOf(run), Tenants: run.OnlyTenants, Failures: []MigrationFailure{}}
	if run.Failed == 0 {
		return view, nil
	}
	groups, err := s.cfg.Catalog.FailureGroups(ctx, run.ID)
	if err != nil {
		return MigrationDetails{}, err
	}
	for _, group := range groups {
		view.Failures = append(view.Failures, MigrationFailure(group))
	}
	return view, nil
}

// MigrationPage is a page of the list.
type MigrationPage struct {
	Migrations []Migration `json:"migrations"`
	NextCursor string      `json:"nextCursor,omitempty" doc:"Continues the list; absent at its end."`
}

type listRunsOutput struct{ Body MigrationPage }

func (s *server) listRuns(ctx context.Context, in *ListInput) (*listRunsOutput, error) {
	found, err := s.cfg.Catalog.Runs(ctx, in.Cursor, in.Limit)
	if err != nil {
		return nil, err
	}
	shown, next := page(found, migrationOf)
	return &listRunsOutput{MigrationPage{shown, next}}, nil
}
