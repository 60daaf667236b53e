package httpapi

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"homeroom/catalog"
	"homeroom/fleet"
	"homeroom/internal/postgres"
	"homeroom/internal/problem"
	"homeroom/messages"
	"homeroom/migrations"
)

const (
	// maxChosen is how many tenants a run can be limited to.
	maxChosen = 1000
	// maxChoiceBytes is the size of a body with that many names; see maxBodyBytes for the extra byte.
	maxChoiceBytes = 128<<10 + 1
	// maxVersion is the largest number that JSON represents exactly: versions may be dates with a time.
	maxVersion = 1 << 53
)

func (s *server) registerRunStart() {
	register(s, withPermission(migrateTenants), huma.Operation{
		OperationID: "startMigration", Method: http.MethodPost, Path: "/migrations", Tags: []string{tagFleet},
		Metadata: flags(needsSchema),
		Summary:  "Start a run over the fleet",
		Description: "Migrates all tenants that are behind to the newest version, or the chosen ones to the chosen version: first the canaries, then growing waves. " +
			"The new template is built first, so a file that cannot run at all starts nothing. A service then does the work. " +
			"At most one run is open. With `plan`, nothing is started, and the answer is what would be done.",
		MaxBodyBytes: maxChoiceBytes,
		Errors:       []int{http.StatusConflict},
		Responses:    s.startResponses(),
	}, s.postMigration)
	register(s, withPermission("update:tenants"), huma.Operation{
		OperationID: "migrateTenant", Method: http.MethodPost, Path: "/tenants/{id}/migrate", Tags: []string{tagFleet},
		Metadata: flags(needsSchema),
		Summary:  "Start a run for one tenant",
		Description: "Migrates only this tenant to the newest version, as `POST /migrations` with its name does: also one that is held at an older " +
			"version, or quarantined because a migration had failed. The body is empty, or an object without members.",
		Errors:    []int{http.StatusConflict, http.StatusNotFound},
		Responses: s.startResponses(),
	}, s.postTenantMigration)
}

// startResponses are the two successful answers of operations that start a run.
func (s *server) startResponses() map[string]*huma.Response {
	schemas := s.api.OpenAPI().Components.Schemas
	body := func(t reflect.Type) map[string]*huma.MediaType {
		return map[string]*huma.MediaType{"application/json": {Schema: schemas.Schema(t, true, "")}}
	}
	location := map[string]*huma.Param{"Location": {
		Description: "The URL of the run.", Schema: &huma.Schema{Type: huma.TypeString},
	}}
	return map[string]*huma.Response{
		"200": {
			Description: "Nothing was started: the request was for a plan, or no tenant is behind, and then `total` is 0.",
			Content:     body(reflect.TypeFor[MigrationPlan]()),
		},
		"202": {Description: "The run is open.", Content: body(reflect.TypeFor[MigrationDetails]()), Headers: location},
	}
}

// newMigration is the body of POST /migrations; it may be left out.
type newMigration struct {
	Tenants     []string `json:"tenants,omitempty" minItems:"1" maxItems:"1000" doc:"Only these tenants: ids, slugs or databases. The whole fleet when left out." example:"[\"lincoln-high\"]"`
	To          *uint    `json:"to,omitempty" minimum:"1" doc:"@runTarget"`
	Canaries    *int     `json:"canaries,omitempty" minimum:"0" doc:"How many tenants are migrated first; 0 migrates all in one wave. When left out, those that are marked as canaries, or else one."`
	MaxFailures *int     `json:"maxFailures,omitempty" minimum:"0" doc:"How many tenants may fail before the run stops; 0 stops at the first. When left out, a tenth of them, and at least 3."`
	Concurrency *int     `json:"concurrency,omitempty" minimum:"1" maximum:"64" doc:"How many tenants of a server are migrated at the same time; 8 when left out."`
	Plan        bool     `json:"plan,omitempty" doc:"Only answer what would be done." example:"true"`

	members
}

// UnmarshalJSON reads the members one by one, as newUser does.
func (m *newMigration) UnmarshalJSON(text []byte) error {
	return m.read(text, func(o *object) {
		m.Tenants = o.list("tenants")
		if to := o.number("to", 1, maxVersion); to != nil {
			version := uint(*to)
			m.To = &version
		}
		m.Canaries = o.number("canaries", 0, math.MaxInt32)
		m.MaxFailures = o.number("maxFailures", 0, math.MaxInt32)
		m.Concurrency = o.number("concurrency", 1, 64)
		m.Plan = o.flag("plan")
	})
}

type postMigrationInput struct{ Body *newMigration }

type postMigrationOutput struct {
	Status   int
	Location string `header:"Location" doc:"The URL of the run."`
	Body     any
}

func (s *server) postMigration(ctx context.Context, in *postMigrationInput) (*postMigrationOutput, error) {
	body := in.Body
	if body == nil {
		body = &newMigration{}
	}
	names, wrong, err := s.choose(ctx, body)
	if err != nil {
		return nil, err
	}
	if wrong = append(body.wrong, wrong...); len(wrong) > 0 {
		return nil, problem.Invalid(wrong...)
	}
	options := fleet.Options{
		By: claimsOf(ctx).Subject, Only: names, To: body.To, Canaries: body.Canaries, MaxFailures: body.MaxFailures,
	}
	if body.Concurrency != nil {
		options.Concurrency = *body.Concurrency
	}
	if body.Plan {
		return s.answerPlan(ctx, options)
	}
	return s.startRun(ctx, options, nil)
}

// noMembers is a body that may be left out and has no members. A body with members is refused, since they would be
// ignored.
type noMembers struct{ members }

// UnmarshalJSON refuses every member.
func (n *noMembers) UnmarshalJSON(text []byte) error {
	return n.read(text, func(*object) {})
}

// invalid returns the problem of the members; nil where there are none, or no body.
func (n *noMembers) invalid() error {
	if n == nil {
		return nil
	}
	return n.members.invalid()
}

type tenantMigrationInput struct {
	TenantPath
	Body *noMembers
}

func (s *server) postTenantMigration(ctx context.Context, in *tenantMigrationInput) (*postMigrationOutput, error) {
	if err := in.Body.invalid(); err != nil {
		return nil, err
	}
	row, err := s.cfg.Catalog.Tenant(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if why := s.cfg.Fleet.Ineligible(row); why != "" {
		return nil, problem.Invalid(choiceProblem(fleet.InvalidChoice{Reason: why, Tenant: row}, "id"))
	}
	name := row.Slug
	if name == "" {
		name = row.Database
	}
	return s.startRun(ctx, fleet.Options{By: claimsOf(ctx).Subject, Only: []string{name}}, &row.ID)
}

// startRun opens a run and writes the audit event, or answers with an empty plan where nothing is behind.
func (s *server) startRun(ctx context.Context, options fleet.Options, tenantID *uuid.UUID) (*postMigrationOutput, error) {
	run, err := s.cfg.Fleet.Start(ctx, options)
	if errors.Is(err, fleet.ErrNothing) && !postgres.Unreachable(err) {
		return s.answerPlan(ctx, options)
	}
	if err != nil {
		return nil, s.startProblem(ctx, err)
	}
	// The run is open, and has the name of the person who started it. It goes on also when the caller has
	// disconnected, or the audit event cannot be written.
	requestOf(ctx).Cause = s.cfg.Catalog.Record(context.WithoutCancel(ctx), runEvent(ctx, "start", run.ID).About(tenantID, nil))
	view, err := s.runDetails(ctx, run)
	if err != nil {
		return nil, err
	}
	return &postMigrationOutput{Status: http.StatusAccepted, Location: "/migrations/" + run.ID.String(), Body: view}, nil
}

// startProblem returns the problem of a run that was not opened.
func (s *server) startProblem(ctx context.Context, err error) error {
	var paused *fleet.PausedError
	var file *migrations.Error
	switch {
	case errors.As(err, &paused):
		return openRunProblem(paused.Run)
	case errors.Is(err, catalog.ErrRunActive):
		run, found := s.cfg.Catalog.OpenRun(ctx)
		if errors.Is(found, catalog.ErrNotFound) {
			return problem.New(problem.InProgress, messages.ID("detail.run_just_ended")).WithRetryAfter(time.Second)
		}
		if found != nil {
			return found
		}
		return openRunProblem(run)
	case errors.As(err, &file):
		return fileProblem(file).WithCause(err)
	case errors.Is(err, fleet.ErrNothing):
		return problem.New(problem.Busy, messages.ID("detail.servers_unreachable")).WithRetryAfter(10 * time.Second).WithCause(err)
	case ctx.Err() != nil:
		return problem.New(problem.Busy, messages.ID("detail.template_slow")).
			WithRetryAfter(10 * time.Second).WithCause(err)
	}
	return err
}

// openRunProblem names the open run. A paused run waits for an operator, so the answer has no time to wait.
func openRunProblem(run catalog.Run) *problem.Problem {
	args := messages.Args{"Run": run.ID, "Version": run.ToVersion, "Done": run.Done + run.Failed, "Total": run.Total, "State": problem.State(run.State)}
	if run.State == catalog.RunPaused {
		return problem.New(problem.InProgress, messages.ID("detail.run_paused", args))
	}
	return problem.New(problem.InProgress, messages.ID("detail.run_open", args)).WithRetryAfter(10 * time.Second)
}

// fileProblem says which file cannot run, and why.
func fileProblem(e *migrations.Error) *problem.Problem {
	place := e.File
	if e.Line > 0 {
		place = fmt.Sprintf("%s, line %d", e.File, e.Line)
	}
	return problem.Invalid(problem.Field{Field: "to", Code: "migration_failed", Message: messages.ID("field.migration_failed", messages.Args{
		"Version": e.Version, "Place": place, "Cause": e.Reason(),
	})})
}
