package catalog

import (
	"context"
	"fmt"
)

// Server is a Postgres server with tenants. Its address and credentials are configuration, never a row.
type Server struct {
	Name string
	// Weight is its share of the new tenants, relative to the others; 0 takes none.
	Weight int
	// Capacity is how many tenants it may hold; nil means no limit.
	Capacity *int
	// ClosedBecause is why it is closed for new databases; nil if it is open.
	ClosedBecause *string
	// Tenants is how many it holds now, including spares.
	Tenants int
}

// RegisterServers inserts the new servers, with weight 1 and no limit. It does not change existing ones.
func (s *Store) RegisterServers(ctx context.Context, names []string) error {
	_, err := s.pool.Exec(ctx, `
		insert into servers (name)
		select unnest($1::text[])
		on conflict do nothing`, names)
	if err != nil {
		return fmt.Errorf("register servers %v: %w", names, known(err))
	}
	return nil
}

// CloseServer closes a server for new databases, until [Store.OpenServer]. Its spares can still be claimed. It reports
// whether the server was open.
func (s *Store) CloseServer(ctx context.Context, name, because string) (changed bool, err error) {
	tag, err := s.pool.Exec(ctx, `
		update servers set closed_because = $2, closed_at = now()
		where name = $1 and closed_because is null`, name, because)
	if err != nil {
		return false, fmt.Errorf("close server %s: %w", name, err)
	}
	return tag.RowsAffected() > 0, nil
}

// OpenServer opens a server for new databases again. It reports whether the server was closed.
func (s *Store) OpenServer(ctx context.Context, name string) (changed bool, err error) {
	tag, err := s.pool.Exec(ctx, `
		update servers set closed_because = null, closed_at = null
		where name = $1 and closed_because is not null`, name)
	if err != nil {
		return false, fmt.Errorf("open server %s: %w", name, err)
	}
	return tag.RowsAffected() > 0, nil
}

// FreeCapacity returns how many more tenants a server takes: none with weight 0 or while it is closed, and never more
// than limit.
func (s *Store) FreeCapacity(ctx context.Context, server string, limit int) (int, error) {
	var room int
	err := s.pool.QueryRow(ctx, `
		select case
			when weight = 0 or closed_because is not null then 0
			when capacity is null then $2
			else greatest(0, least($2, capacity - (select count(*) from tenants where server = servers.name and state <> 'deleted')))
		end
		from servers
		where name = $1`, server, limit).Scan(&room)
	if err != nil {
		return 0, fmt.Errorf("read the free capacity of server %s: %w", server, known(err))
	}
	return room, nil
}

// Servers lists the servers by name.
func (s *Store) Servers(ctx context.Context) ([]Server, error) {
	servers, err := many[Server](ctx, s.pool, `
		select servers.name, weight, capacity, closed_because, count(tenants.id) as tenants
		from servers
		left join tenants on tenants.server = servers.name and tenants.state <> 'deleted'
		group by servers.name
		order by servers.name`)
	if err != nil {
		return nil, fmt.Errorf("list servers: %w", err)
	}
	return servers, nil
}
