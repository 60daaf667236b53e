package catalog

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// State is where a tenant stands in its life.
type State string

// The states of a tenant: building → spare → reserved → ready, and beside them what can befall one.
const (
	// Building: the row exists, its database is being made. With a name it is made for a school, else to be a spare.
	Building State = "building"
	// Spare: ready in every respect, and no school has it yet.
	Spare State = "spare"
	// Reserved: a sign-up holds it, and is not finished.
	Reserved State = "reserved"
	// Ready: a school uses it.
	Ready State = "ready"
	// Quarantined: something about its database failed; QuarantineCause says what, ResumeState what it was.
	Quarantined State = "quarantined"
	// Suspended, Deleting and Deleted: taken out of use by an operator.
	Suspended State = "suspended"
	Deleting  State = "deleting"
	Deleted   State = "deleted"
)

// States are all states of a tenant.
var States = []State{Building, Spare, Reserved, Ready, Quarantined, Suspended, Deleting, Deleted}

// QuarantineKind is what a quarantine is about.
type QuarantineKind string

// The kinds of a quarantine.
const (
	// MigrationFailed: a migration could not be applied to it. The next run ends it.
	MigrationFailed QuarantineKind = "migration"
	// SchemaUnknown: nobody can tell which version its schema has.
	SchemaUnknown QuarantineKind = "schema"
	// DatabaseUnusable: its database is missing, invalid, or unmanaged.
	DatabaseUnusable QuarantineKind = "database"
	// BeingReplaced: an operator has its database archived and replaced. Only that work ends it.
	BeingReplaced QuarantineKind = "replaced"
)

// QuarantineKinds are all kinds of a quarantine.
var QuarantineKinds = []QuarantineKind{MigrationFailed, SchemaUnknown, DatabaseUnusable, BeingReplaced}

// Tenant is one school's place: a database, a role, and the school they belong to.
type Tenant struct {
	ID       uuid.UUID
	Server   string
	Database string
	State    State
	// Name and Slug are empty as long as no school has it.
	Name, Slug string
	// Lineage names the migrations that its schema comes from; SchemaVersion is how many of them it has had.
	Lineage          string
	SchemaVersion    uint
	PasswordRotation int
	// Fingerprint names the schema as it was last seen; see the package tenant.
	Fingerprint     *string
	QuarantineCause *string
	QuarantineKind  *QuarantineKind
	ResumeState     *State
	// Canary tells that it goes first in every run over the fleet.
	Canary bool
	// HeldAt is the version that an operator has moved it to on purpose; only runs that name the tenant move it on.
	HeldAt *uint
	// WantedAt is when somebody asked for it while it was behind; nil once a run has taken it.
	WantedAt *time.Time
	// Steps is what provisioning did last, as JSON.
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

// InsertSpare writes the row of a spare, before anything of it is made.
func (s *Store) InsertSpare(ctx context.Context, spare NewSpare) error {
	_, err := s.pool.Exec(ctx, `
		insert into tenants (id, server, database, lineage, state)
		values ($1, $2, $3, $4, 'building')`, spare.ID, spare.Server, spare.Database, spare.Lineage)
	if err != nil {
		return fmt.Errorf("insert spare %s: %w", spare.Database, known(err))
	}
	return nil
}

// MarkSpareBuilt marks a spare as ready to be claimed. Only the process that has just created its database may call it: nobody else
// can know that no school has ever had that. It fails with [ErrStateChanged] when the spare is not building.
func (s *Store) MarkSpareBuilt(ctx context.Context, id uuid.UUID, health Health, steps json.RawMessage) error {
	return changeOne(ctx, s.pool, "mark spare built", id, `
		update tenants
		set state = 'spare', schema_version = $2, fingerprint = nullif($3, ''), steps = $4, updated_at = now(),
			claimable_xid = pg_current_xact_id()::xid, claimable_in = catalog_instance()
		where id = $1 and state = 'building' and name is null`, id, health.Version, health.Fingerprint, steps)
}

// SetSteps records what provisioning is doing with a tenant.
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

// Health is what is known of a tenant's database once it is whole.
type Health struct {
	Version uint
	// Fingerprint names its schema; empty keeps what is known.
	Fingerprint string
}

// MarkHealthy records that a tenant's database is whole, and ends its quarantine, whatever it was about.
func (s *Store) MarkHealthy(ctx context.Context, id uuid.UUID, health Health) error {
	return changeOne(ctx, s.pool, "mark tenant healthy", id, `
		update tenants
		set schema_version = $2, fingerprint = coalesce(nullif($3, ''), fingerprint), state = coalesce(resume_state, state),
			resume_state = null, quarantine_cause = null, quarantine_kind = null, updated_at = now(), `+keepClaimable+`
		where id = $1 and state <> 'deleted'`, id, health.Version, health.Fingerprint)
}

// Quarantine takes a tenant out of use and says why. One that is quarantined already keeps the state it came from.
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

// RequestMigration asks that a tenant which is behind be migrated before the others. Asking again changes nothing.
func (s *Store) RequestMigration(ctx context.Context, id uuid.UUID) error {
	_, err := s.pool.Exec(ctx, `update tenants set wanted_at = now() where id = $1 and wanted_at is null`, id)
	if err != nil {
		return fmt.Errorf("move tenant %s to the front: %w", id, err)
	}
	return nil
}

// SetCanary makes a tenant go first in every run over the fleet, or no longer.
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

// SetFingerprint records how the schema of a tenant was found that the catalog listed as in row. It fails with [ErrStateChanged]
// when somebody else has recorded another version or fingerprint since, and while a run is open when it is at another version
// than is known: the run may be about to change that, and records it.
func (s *Store) SetFingerprint(ctx context.Context, row Tenant, found Health) error {
	return changeOne(ctx, s.pool, "record fingerprint of tenant", row.ID, `
		update tenants
		set schema_version = $4, fingerprint = $5, `+keepClaimable+`
		where id = $1 and schema_version = $2 and fingerprint is not distinct from $3
			and (schema_version = $4 or not exists (select from migration_runs where state in ('running', 'paused')))`,
		row.ID, row.SchemaVersion, row.Fingerprint, found.Version, found.Fingerprint)
}
