package signup

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"homeroom/catalog"
	"homeroom/migrations"
	"homeroom/tenant"
)

// Store is what this package needs of the catalog. It has two implementations: [catalog.Store], and a simulated one on
// which the model of the tests runs this package (docs/decisions/model.md).
type Store interface {
	signupRows
	waitingRows
	invitationRows
	tenantRows
	spareRows

	// InTx runs f in a transaction, for the methods that take one.
	InTx(ctx context.Context, f func(pgx.Tx) error) error
	UserByID(ctx context.Context, id uuid.UUID) (catalog.User, error)
	UserByEmail(ctx context.Context, email string) (catalog.User, error)
	UserByIdentity(ctx context.Context, identityID string) (catalog.User, error)
	MarkEmailVerified(ctx context.Context, id uuid.UUID) error
	TakeAllowance(ctx context.Context, key string, allowance catalog.Allowance) (catalog.Grant, error)
	TakeAllowances(ctx context.Context, limits []catalog.Limit) ([]catalog.Grant, error)
	ReturnAllowances(ctx context.Context, limits []catalog.Limit) error
}

// signupRows finds, leases and ends the sign-ups of the catalog.
type signupRows interface {
	Reserve(ctx context.Context, r catalog.ReserveParams) (catalog.Reservation, error)
	Signup(ctx context.Context, id uuid.UUID) (catalog.Signup, error)
	SignupByKey(ctx context.Context, key string) (catalog.Signup, error)
	SignupByUser(ctx context.Context, user uuid.UUID) (catalog.Signup, error)

	TakeOver(ctx context.Context, id uuid.UUID, lease time.Duration) (catalog.Signup, error)
	Due(ctx context.Context, lease time.Duration, limit int) ([]catalog.Signup, error)
	Renew(ctx context.Context, signup catalog.Signup, lease time.Duration) error
	RetryLater(ctx context.Context, signup catalog.Signup, steps json.RawMessage, delay time.Duration) error

	RecordIdentity(ctx context.Context, signup catalog.Signup, identity catalog.Identity, steps json.RawMessage, lease time.Duration) error
	Finish(ctx context.Context, signup catalog.Signup, identity catalog.Identity, health catalog.Health, steps, result json.RawMessage) error
	Undo(ctx context.Context, signup catalog.Signup, steps, problem json.RawMessage) error
	Expire(ctx context.Context, signup catalog.Signup, steps, problem json.RawMessage, delay time.Duration) error
	RecheckDone(ctx context.Context, signup catalog.Signup) error
	NeedsOperator(ctx context.Context, signup catalog.Signup, steps, problem json.RawMessage) error
	ResumeTx(ctx context.Context, tx pgx.Tx, signup catalog.Signup, lease time.Duration) (catalog.Signup, error)
}

// waitingRows handles sign-ups that wait for a person.
type waitingRows interface {
	Wait(ctx context.Context, signup catalog.Signup, identity catalog.Identity, status catalog.Status, steps json.RawMessage, waitTimeout time.Duration) error
	ReserveUnconfirmed(ctx context.Context, r catalog.ReserveParams, hideAccounts, notify bool, waitTimeout time.Duration) (catalog.Reservation, error)
	SignupByIdentity(ctx context.Context, identityID string) (catalog.Signup, error)
	Admit(ctx context.Context, signup catalog.Signup, r catalog.ReserveParams) (catalog.Reservation, error)
	ExpireTx(ctx context.Context, tx pgx.Tx, signup catalog.Signup, steps, problem json.RawMessage, delay time.Duration) error
	EmitTx(ctx context.Context, tx pgx.Tx, event catalog.OutboxEvent) error
}

// invitationRows handles the invitations of the catalog.
type invitationRows interface {
	InviteTx(ctx context.Context, tx pgx.Tx, invitation catalog.NewInvitation) (catalog.Invitation, error)
	Invitation(ctx context.Context, id uuid.UUID) (catalog.Invitation, error)
	RevokeInvitationTx(ctx context.Context, tx pgx.Tx, id uuid.UUID) error
}

// tenantRows handles tenants that are reprovisioned.
type tenantRows interface {
	Tenant(ctx context.Context, idSlugOrDatabase string) (catalog.Tenant, error)
	TenantByID(ctx context.Context, id uuid.UUID) (catalog.Tenant, error)
	SlugFree(ctx context.Context, slug string) (bool, error)
	SetSteps(ctx context.Context, id uuid.UUID, steps json.RawMessage) error
	SetStepsTx(ctx context.Context, tx pgx.Tx, id uuid.UUID, steps json.RawMessage) error
	MarkHealthy(ctx context.Context, id uuid.UUID, health catalog.Health) error
	Quarantine(ctx context.Context, id uuid.UUID, kind catalog.QuarantineKind, cause string) error
	QuarantineTx(ctx context.Context, tx pgx.Tx, id uuid.UUID, kind catalog.QuarantineKind, cause string) error
	RecordTx(ctx context.Context, tx pgx.Tx, event catalog.Event) error
}

// spareRows handles the spares of the catalog.
type spareRows interface {
	Exclusive(ctx context.Context, name string, f func(ctx context.Context) error) (ran bool, err error)
	DiscardableSpares(ctx context.Context, server, lineage string) ([]catalog.Tenant, error)
	DeleteSpare(ctx context.Context, id uuid.UUID) error
	Stock(ctx context.Context, server, lineage string, version uint) (catalog.Stock, error)
	FreeCapacity(ctx context.Context, server string, limit int) (int, error)
	InsertSpare(ctx context.Context, spare catalog.NewSpare) error
	MarkSpareBuilt(ctx context.Context, id uuid.UUID, health catalog.Health, steps json.RawMessage) error
	CloseServer(ctx context.Context, name, because string) (changed bool, err error)
	OpenServer(ctx context.Context, name string) (changed bool, err error)
	ReplaceTenant(ctx context.Context, signup catalog.Signup, r catalog.ReserveParams) (catalog.Tenant, error)
	UnmarkedTenants(ctx context.Context, server string, limit int) ([]catalog.UnmarkedTenant, error)
	TenantsMarked(ctx context.Context, ids []uuid.UUID) error
}

var _ Store = (*catalog.Store)(nil)

// Servers are the servers on which tenants are created. [TenantServers] returns real ones.
type Servers interface {
	Names() []string
	Migrations() *migrations.Set
	Get(name string) (Server, error)
}

// Server creates and changes the databases of tenants.
type Server interface {
	Name() string
	Migrations() *migrations.Set
	CheckFreeDisk(ctx context.Context) error
	Ensure(ctx context.Context, id tenant.ID, rotation int, progress tenant.Progress) (tenant.Result, error)
	Archive(ctx context.Context, id tenant.ID, archive string) error
	CheckSpare(ctx context.Context, id tenant.ID, holder string) error
	MarkInUse(ctx context.Context, holders map[tenant.ID]string) ([]tenant.ID, error)
	Discard(ctx context.Context, id tenant.ID) error
}

var _ Server = (*tenant.Server)(nil)

// TenantServers returns Servers that create the tenants on these servers.
func TenantServers(servers tenant.Servers) Servers { return onServers{servers} }

type onServers struct{ tenant.Servers }

// Get implements Servers.
func (s onServers) Get(name string) (Server, error) { return s.Servers.Get(name) }
