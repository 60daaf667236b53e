package fleet

import (
	"context"

	"github.com/google/uuid"

	"homeroom/catalog"
	"homeroom/migrations"
	"homeroom/tenant"
)

// Store is the catalog as this package uses it. There are two implementations: [catalog.Store], and the simulated one
// of the model test (docs/decisions/model.md).
type Store interface {
	runRows
	tenantRows

	Exclusive(ctx context.Context, name string, f func(ctx context.Context) error) (ran bool, err error)
	SetReference(ctx context.Context, reference catalog.Reference) error
	References(ctx context.Context, lineage string) ([]catalog.Reference, error)
}

// runRows are the runs in the catalog and their outcomes.
type runRows interface {
	StartRun(ctx context.Context, run catalog.NewRun) error
	ChangeRun(ctx context.Context, id uuid.UUID, to catalog.RunState, by string) error
	FinishRun(ctx context.Context, id uuid.UUID, state catalog.RunState, problem string) error
	OpenRun(ctx context.Context) (catalog.Run, error)
	LatestRun(ctx context.Context, schemaHash string) (catalog.Run, error)
	RunByID(ctx context.Context, id uuid.UUID) (catalog.Run, error)
	RunStateNow(ctx context.Context, id uuid.UUID) (catalog.RunState, error)
	Outcomes(ctx context.Context, run uuid.UUID) ([]catalog.Outcome, error)
	RecordOutcomes(ctx context.Context, run uuid.UUID, outcomes []catalog.Outcome) error
}

// tenantRows are the tenants in the catalog, as runs and the search for drift select them.
type tenantRows interface {
	Tenant(ctx context.Context, idSlugOrDatabase string) (catalog.Tenant, error)
	Behind(ctx context.Context, filter catalog.BehindFilter) ([]catalog.Tenant, error)
	VersionCounts(ctx context.Context, lineage string, only []string) ([]catalog.VersionCount, error)
	WithDatabase(ctx context.Context, lineage string, only []string) ([]catalog.Tenant, error)
	WithoutFingerprint(ctx context.Context, lineage string, servers []string, limit int) ([]catalog.Tenant, error)
	RequestMigration(ctx context.Context, id uuid.UUID) error
	DeferFingerprint(ctx context.Context, tenants []catalog.Tenant) error
	RecheckInterrupted(ctx context.Context) error
	SetFingerprint(ctx context.Context, row catalog.Tenant, found catalog.Health) error
}

var _ Store = (*catalog.Store)(nil)

// Servers are the servers of the tenants. [OnServers] makes them from real ones.
type Servers interface {
	Names() []string
	Migrations() *migrations.Set
	Get(name string) (Server, error)
}

// Server migrates the databases of tenants.
type Server interface {
	Ping(ctx context.Context) error
	Reference(ctx context.Context) (tenant.Schema, error)
	Basis(ctx context.Context) (postgres int, grants string, err error)
	MigrateTo(ctx context.Context, id tenant.ID, version uint) (migrations.Result, error)
	MigrateDownTo(ctx context.Context, id tenant.ID, version uint) (migrations.Result, error)
	Status(ctx context.Context, id tenant.ID) (migrations.Status, error)
	Snapshot(ctx context.Context, id tenant.ID) (schema tenant.Schema, version uint, err error)
}

var _ Server = (*tenant.Server)(nil)

// OnServers makes Servers from real ones.
func OnServers(servers tenant.Servers) Servers { return onServers{servers} }

type onServers struct{ tenant.Servers }

// Get implements Servers.
func (s onServers) Get(name string) (Server, error) { return s.Servers.Get(name) }
