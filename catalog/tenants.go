package catalog

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// State is the state of a tenant.
type State string

// The states of a tenant: building → spare → reserved → ready, and exceptional ones.
const (
	// Building: the row exists, its database is being built. With a name it is built for a school, else as a spare.
	Building State = "building"
	// Spare: complete, and no school has it yet.
	Spare State = "spare"
	// Reserved: a sign-up has it, and is not finished.
	Reserved State = "reserved"
	// Ready: a school uses it.
	Ready State = "ready"
	// Quarantined: there is a problem with its database; QuarantineCause describes it, ResumeState is the state before.
	Quarantined State = "quarantined"
	// Suspended, Deleting and Deleted: an operator has suspended or deleted it.
	Suspended State = "suspended"
	Deleting  State = "deleting"
	Deleted   State = "deleted"
)

// States are all states of a tenant.
var States = []State{Building, Spare, Reserved, Ready, Quarantined, Suspended, Deleting, Deleted}

// QuarantineKind is the kind of problem of a quarantine.
type QuarantineKind string

// The kinds of a quarantine.
const (
	// MigrationFailed: a migration could not be applied to it. The next run ends it.
	MigrationFailed QuarantineKind = "migration"
	// SchemaUnknown: it is unclear which version its schema has.
	SchemaUnknown QuarantineKind = "schema"
	// DatabaseUnusable: its database is missing, invalid, or unmanaged.
	DatabaseUnusable QuarantineKind = "database"
	// BeingReplaced: an operator has its database archived and replaced. Only that work ends the quarantine.
	BeingReplaced QuarantineKind = "replaced"
)

// QuarantineKinds are all kinds of quarantines.
var QuarantineKinds = []QuarantineKind{MigrationFailed, SchemaUnknown, DatabaseUnusable, BeingReplaced}

// Tenant is one school's tenant: a database, a role, and the school that has them.
type Tenant struct {
	ID       uuid.UUID
	Server   string
	Database string
	State    State
	// Name and Slug are empty as long as no school has it.
	Name, Slug string
	// Lineage names the migrations of its schema; SchemaVersion is how many of them were applied.
	Lineage          string
	SchemaVersion    uint
	PasswordRotation int
	// Fingerprint is that of the schema when it was last inspected; see the package tenant.
	Fingerprint     *string
	QuarantineCause *string
	QuarantineKind  *QuarantineKind
	ResumeState     *State
	// Canary says that it is in the first wave of every fleet run.
	Canary bool
	// HeldAt is the version at which an operator holds it; only runs that name the tenant migrate it.
	HeldAt *uint
	// WantedAt is when somebody asked for its migration while it was behind; nil once a run has taken it.
	WantedAt *time.Time
	// Steps are the last steps of provisioning, as JSON.
	Steps     json.RawMessage
	CreatedAt time.Time
	ReadyAt   *time.Time
}

const tenantColumns = `id, server, database, state, coalesce(name, '') as name, coalesce(slug, '') as slug, lineage, schema_version,
	password_rotation, fingerprint, quarantine_cause, quarantine_kind, resume_state, canary, held_at, wanted_at, steps,
	created_at, ready_at`

// Tenant finds a tenant by id, by slug or by the name of its database.
func (s *Store) Tenant(ctx context.Context, idSlugOrDatabase string) (Tenant, error) {
	id, err := uuid.Parse(idSlugOrDatabase)
	if err == nil {
		return s.TenantByID(ctx, id)
	}
	tenant, err := one[Tenant](ctx, s.pool, `
		select `+tenantColumns+`
		from tenants
		where slug = $1 or database = $1`, idSlugOrDatabase)
	if err != nil {
		return Tenant{}, fmt.Errorf("find tenant %q: %w", idSlugOrDatabase, known(err))
	}
	return tenant, nil
}

// TenantByID finds a tenant by id.
func (s *Store) TenantByID(ctx context.Context, id uuid.UUID) (Tenant, error) {
	tenant, err := one[Tenant](ctx, s.pool, `select `+tenantColumns+` from tenants where id = $1`, id)
	if err != nil {
		return Tenant{}, fmt.Errorf("find tenant %s: %w", id, known(err))
	}
	return tenant, nil
}

// NewSpare is a spare that is about to be built.
type NewSpare struct {
	ID                        uuid.UUID
	Server, Database, Lineage string
}

// InsertSpare inserts the row of a spare, before anything of it is created.
func (s *Store) InsertSpare(ctx context.Context, spare NewSpare) error {
	_, err := s.pool.Exec(ctx, `
		insert into tenants (id, server, database, lineage, state)
		values ($1, $2, $3, $4, 'building')`, spare.ID, spare.Server, spare.Database, spare.Lineage)
	if err != nil {
		return fmt.Errorf("insert spare %s: %w", spare.Database, known(err))
	}
	return nil
}

// MarkSpareBuilt marks a spare as ready to be claimed. Only the process that has just created its database may call it:
// no other process can know that no school has ever had that database. It fails with [ErrStateChanged] if the spare is
// not building.
func (s *Store) MarkSpareBuilt(ctx context.Context, id uuid.UUID, health Health, steps json.RawMessage) error {
	return changeOne(ctx, s.pool, "mark spare built", id, `
		update tenants
		set state = 'spare', schema_version = $2, fingerprint = nullif($3, ''), steps = $4, updated_at = now(),
			claimable_xid = pg_current_xact_id()::xid, claimable_in = catalog_instance()
		where id = $1 and state = 'building' and name is null`, id, health.Version, health.Fingerprint, steps)
}

// SetSteps records the present steps of provisioning a tenant.
func (s *Store) SetSteps(ctx context.Context, id uuid.UUID, steps json.RawMessage) error {
	return setSteps(ctx, s.pool, id, steps)
}

// SetStepsTx is [Store.SetSteps] in the caller's transaction.
func (s *Store) SetStepsTx(ctx context.Context, tx pgx.Tx, id uuid.UUID, steps json.RawMessage) error {
	return setSteps(ctx, tx, id, steps)
}

func setSteps(ctx context.Context, q querier, id uuid.UUID, steps json.RawMessage) error {
	return changeOne(ctx, q, "record steps of tenant", id, `
		update tenants
		set steps = $2, updated_at = now(), `+keepClaimable+`
		where id = $1`, id, steps)
}

// Health is what was found in a tenant's complete database.
type Health struct {
	Version uint
	// Fingerprint is that of its schema; empty leaves the recorded one.
	Fingerprint string
}

// MarkHealthy records that a tenant's database is complete, and ends its quarantine, whatever its cause was.
func (s *Store) MarkHealthy(ctx context.Context, id uuid.UUID, health Health) error {
	return changeOne(ctx, s.pool, "mark tenant healthy", id, `
		update tenants
		set schema_version = $2, fingerprint = coalesce(nullif($3, ''), fingerprint), state = coalesce(resume_state, state),
			resume_state = null, quarantine_cause = null, quarantine_kind = null, updated_at = now(), `+keepClaimable+`
		where id = $1 and state <> 'deleted'`, id, health.Version, health.Fingerprint)
}

// Quarantine quarantines a tenant with a cause. One that is quarantined already keeps the state from before.
func (s *Store) Quarantine(ctx context.Context, id uuid.UUID, kind QuarantineKind, cause string) error {
	return quarantine(ctx, s.pool, id, kind, cause)
}

// QuarantineTx is [Store.Quarantine] in the caller's transaction.
func (s *Store) QuarantineTx(ctx context.Context, tx pgx.Tx, id uuid.UUID, kind QuarantineKind, cause string) error {
	return quarantine(ctx, tx, id, kind, cause)
}

func quarantine(ctx context.Context, q querier, id uuid.UUID, kind QuarantineKind, cause string) error {
	return changeOne(ctx, q, "quarantine tenant", id, `
		update tenants
		set resume_state = coalesce(resume_state, state), state = 'quarantined', quarantine_kind = $2, quarantine_cause = $3,
			updated_at = now(), `+keepClaimable+`
		where id = $1 and state <> 'deleted'`, id, kind, cause)
}

// RequestMigration asks that a tenant which is behind be migrated before the others. Another request changes nothing.
func (s *Store) RequestMigration(ctx context.Context, id uuid.UUID) error {
	_, err := s.pool.Exec(ctx, `update tenants set wanted_at = now() where id = $1 and wanted_at is null`, id)
	if err != nil {
		return fmt.Errorf("request the migration of tenant %s: %w", id, err)
	}
	return nil
}

// SetCanary adds a tenant to the first wave of every fleet run, or removes it.
func (s *Store) SetCanary(ctx context.Context, id uuid.UUID, canary bool) error {
	return changeOne(ctx, s.pool, "mark as canary tenant", id, `
		update tenants set canary = $2, updated_at = now() where id = $1 and state <> 'deleted'`, id, canary)
}

// changeOne runs a statement that must change exactly one row; none is [ErrStateChanged].
func changeOne(ctx context.Context, q querier, what string, id uuid.UUID, sql string, args ...any) error {
	tag, err := q.Exec(ctx, sql, args...)
	if err != nil {
		return fmt.Errorf("%s %s: %w", what, id, known(err))
	}
	if tag.RowsAffected() != 1 {
		return fmt.Errorf("%s %s: %w", what, id, ErrStateChanged)
	}
	return nil
}

// SetFingerprint records the schema of a tenant as it was found when its row was as given. It fails with
// [ErrStateChanged] if another process has recorded another version or fingerprint since, and while a run is open if
// the version differs from the recorded one: the run may be about to change that, and records it.
func (s *Store) SetFingerprint(ctx context.Context, row Tenant, found Health) error {
	return changeOne(ctx, s.pool, "record fingerprint of tenant", row.ID, `
		update tenants
		set schema_version = $4, fingerprint = $5, `+keepClaimable+`
		where id = $1 and schema_version = $2 and fingerprint is not distinct from $3
			and (schema_version = $4 or not exists (select from migration_runs where state in ('running', 'paused')))`,
		row.ID, row.SchemaVersion, row.Fingerprint, found.Version, found.Fingerprint)
}
