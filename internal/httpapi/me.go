package httpapi

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"homeroom/catalog"
	"homeroom/signup"
	"homeroom/tenant"
)

// Me is the caller and their school.
type Me struct {
	User     MyUser        `json:"user"`
	School   signup.School `json:"school"`
	Database MyDatabase    `json:"database"`
}

// MyUser is the caller as the catalog knows them.
type MyUser struct {
	signup.User
	Role string `json:"role" doc:"What the person is at the school." example:"owner"`
}

// MyDatabase is what the school's own database tells of itself.
type MyDatabase struct {
	Tables    int   `json:"tables" doc:"How many tables it has." example:"4"`
	SizeBytes int64 `json:"sizeBytes" doc:"How large it is on disk." example:"7864320"`
	// SchemaVersion is nil where the school's migrations keep their version out of reach.
	SchemaVersion *int64 `json:"schemaVersion,omitempty" doc:"The last migration that it has had." example:"4"`
}

type meOutput struct{ Body Me }

func (s *server) getMe(ctx context.Context, _ *struct{}) (*meOutput, error) {
	user, err := s.cfg.Catalog.UserByIdentity(ctx, claimsOf(ctx).Subject)
	if errors.Is(err, catalog.ErrNotFound) {
		return nil, newProblem(notFound, "The token is good, but its user belongs to no school here. Sign a school up with POST /users first.")
	}
	if err != nil {
		return nil, err
	}
	row, err := s.cfg.Catalog.TenantByID(ctx, user.TenantID)
	if err != nil {
		return nil, err
	}
	if err := usable(row); err != nil {
		return nil, err
	}
	s.hurry(ctx, row)
	figures, err := s.lookInside(ctx, row)
	if err != nil {
		return nil, err
	}
	return &meOutput{Me{
		User: MyUser{Role: user.Role, User: signup.User{
			ID: user.ID, IdentityID: user.IdentityID, Email: user.Email, EmailVerified: user.EmailVerified,
			GivenName: user.GivenName, FamilyName: user.FamilyName, Name: user.Name, CreatedAt: user.CreatedAt.UTC(),
		}},
		School: signup.School{
			ID: row.ID, Name: row.Name, Slug: row.Slug, Database: row.Database, SchemaVersion: row.SchemaVersion,
			Status: string(row.State), CreatedAt: row.CreatedAt.UTC(),
		},
		Database: figures,
	}}, nil
}

// usable refuses a school whose database is out of use. Why it was quarantined is for operators.
func usable(row catalog.Tenant) error {
	switch row.State {
	case catalog.Ready:
		return nil
	case catalog.Suspended, catalog.Deleting, catalog.Deleted:
		return newProblem(forbidden, "The school is "+string(row.State)+".")
	}
	cause := "its database is being made"
	if row.State == catalog.Quarantined {
		cause = quarantineText(row)
	}
	return newProblem(busy, "The school cannot be used at this moment: "+cause+".").after(10 * time.Second).
		because(fmt.Errorf("tenant %s is %s", row.ID, row.State))
}

// quarantineText is what a school's people may know. The cause itself may quote SQL and data.
func quarantineText(row catalog.Tenant) string {
	var kind catalog.QuarantineKind
	if row.QuarantineKind != nil {
		kind = *row.QuarantineKind
	}
	switch kind {
	case catalog.MigrationFailed:
		return "its database could not be brought to the newest version, and the operators have been told"
	case catalog.SchemaUnclear:
		return "its database is not as it should be, and the operators have been told"
	case catalog.DatabaseUnclear:
		return "its database cannot be found or is damaged, and the operators have been told"
	case catalog.BeingReplaced:
		return "its database is being replaced by a new one"
	}
	return "its database is being repaired"
}

// wantTimeout bounds the note that a tenant is waited for.
const wantTimeout = 5 * time.Second

// hurry moves a tenant that is behind to the front of the run, beside the request: it is served as it is meanwhile. It is
// done once until a run has taken the tenant; the row tells.
func (s *server) hurry(ctx context.Context, row catalog.Tenant) {
	set := s.cfg.Servers.Migrations()
	if row.WantedAt != nil || row.HeldAt != nil || row.SchemaVersion >= set.Latest() || row.Lineage != set.Lineage() {
		return
	}
	if _, under := s.wanting.LoadOrStore(row.ID, true); under {
		return
	}
	go func() {
		defer s.wanting.Delete(row.ID)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), wantTimeout)
		defer cancel()
		if err := s.cfg.Catalog.Want(ctx, row.ID); err != nil {
			s.cfg.Logger.Warn("move a tenant to the front of the run", "tenant", row.ID, "cause", err)
		}
	}()
}

// lookInside reads figures in a tenant's database. They exist in any schema: users bring their own.
func (s *server) lookInside(ctx context.Context, row catalog.Tenant) (MyDatabase, error) {
	server, err := s.cfg.Servers.Get(row.Server)
	if err != nil {
		return MyDatabase{}, &unreachableError{err}
	}
	var figures MyDatabase
	err = s.cfg.Pools.Do(ctx, server, tenant.ID(row.ID), row.PasswordRotation, func(conn *pgx.Conn) error {
		figures, err = readFigures(ctx, conn)
		return err
	})
	if err != nil {
		return MyDatabase{}, &unreachableError{err}
	}
	return figures, nil
}

func readFigures(ctx context.Context, conn *pgx.Conn) (MyDatabase, error) {
	var figures MyDatabase
	var versioned bool
	err := conn.QueryRow(ctx, `
		select count(*) filter (where relname <> 'schema_migrations'),
			pg_database_size(current_database()),
			coalesce(bool_or(oid = to_regclass('public.schema_migrations') and has_table_privilege(oid, 'select')), false)
		from pg_class
		where relkind in ('r', 'p') and not relispartition
			and relnamespace::regnamespace::text !~ '^"?pg_' and relnamespace <> 'information_schema'::regnamespace`).
		Scan(&figures.Tables, &figures.SizeBytes, &versioned)
	if err != nil {
		return MyDatabase{}, fmt.Errorf("read figures: %w", err)
	}
	if !versioned {
		return figures, nil
	}
	err = conn.QueryRow(ctx, `select version from public.schema_migrations limit 1`).Scan(&figures.SchemaVersion)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return MyDatabase{}, fmt.Errorf("read schema version: %w", err)
	}
	return figures, nil
}
