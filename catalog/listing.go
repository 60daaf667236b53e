package catalog

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Filter selects the tenants of a listing; its zero value lists all schools, newest first.
type Filter struct {
	// Search is a part of the name, the slug or the database's name.
	Search string
	// State, Server and Version select only tenants with that value. Tenants without a school are listed only if State
	// selects them.
	State   State
	Server  string
	Version *uint
	// Cursor continues after the end of a page.
	Cursor string
	// Limit is the size of a page, at most 200. Defaults to 50.
	Limit int
}

// Tenants lists tenants, newest first. It fails with [ErrBadCursor].
func (s *Store) Tenants(ctx context.Context, filter Filter) (Page[Tenant], error) {
	limit := filter.limit()
	where, args, err := filter.conditions()
	if err != nil {
		return Page[Tenant]{}, err
	}
	args["limit"] = limit + 1
	tenants, err := many[Tenant](ctx, s.pool, `
		select `+tenantColumns+`
		from tenants
		where `+where+`
		order by created_at desc, id desc
		limit @limit`, args)
	if err != nil {
		return Page[Tenant]{}, fmt.Errorf("list tenants: %w", err)
	}
	return pageOf(tenants, limit, tenantCursor), nil
}

// limit is the size of a page.
func (f Filter) limit() int {
	if f.Limit <= 0 {
		return 50
	}
	return min(f.Limit, 200)
}

// conditions returns the filter in SQL.
func (f Filter) conditions() (string, pgx.NamedArgs, error) {
	args := pgx.NamedArgs{}
	where := []string{"true"}
	add := func(condition, name string, value any) {
		where = append(where, condition)
		args[name] = value
	}
	switch f.State {
	case Spare, Building, Quarantined:
		add("state = @state", "state", f.State)
	case "":
		where = append(where, "name is not null and state <> 'deleted'")
	default:
		add("name is not null and state = @state", "state", f.State)
	}
	if f.Server != "" {
		add("server = @server", "server", f.Server)
	}
	if f.Version != nil {
		add("schema_version = @version", "version", *f.Version)
	}
	if f.Search != "" {
		add("(name ilike @search or slug ilike @search or database ilike @search)", "search", "%"+escapeLike(f.Search)+"%")
	}
	if f.Cursor != "" {
		at, id, err := parseCursor(f.Cursor)
		if err != nil {
			return "", nil, err
		}
		add("(created_at, id) < (@after_time, @after_id)", "after_time", at)
		args["after_id"] = id
	}
	return strings.Join(where, " and "), args, nil
}

// escapeLike makes a text match itself in an ILIKE pattern.
func escapeLike(text string) string {
	return strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(text)
}

// tenantCursor returns the cursor after a tenant, which works even if the tenant is gone by then.
func tenantCursor(tenant Tenant) string {
	return base64.RawURLEncoding.EncodeToString([]byte(tenant.CreatedAt.UTC().Format(time.RFC3339Nano) + " " + tenant.ID.String()))
}

func parseCursor(text string) (time.Time, uuid.UUID, error) {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return time.Time{}, uuid.Nil, ErrBadCursor
	}
	at, id, found := strings.Cut(string(raw), " ")
	if !found {
		return time.Time{}, uuid.Nil, ErrBadCursor
	}
	when, err := time.Parse(time.RFC3339Nano, at)
	if err != nil {
		return time.Time{}, uuid.Nil, ErrBadCursor
	}
	tenant, err := uuid.Parse(id)
	if err != nil {
		return time.Time{}, uuid.Nil, ErrBadCursor
	}
	return when, tenant, nil
}
