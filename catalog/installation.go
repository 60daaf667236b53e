package catalog

import (
	"bytes"
	"context"
	"fmt"
)

// CheckTenantKey compares the check value of a tenant key with the one in the catalog, and reports whether they are the
// same. It records the first one. The check value is derived from the key.
func (s *Store) CheckTenantKey(ctx context.Context, check []byte) (same bool, err error) {
	var recorded []byte
	// It only writes if the row is missing.
	err = s.pool.QueryRow(ctx, `
		with new as (
			insert into installation (tenant_key_check)
			select $1
			where not exists (select from installation)
			on conflict do nothing
			returning tenant_key_check
		)
		select coalesce((select tenant_key_check from installation), (select tenant_key_check from new), $1)`, check).Scan(&recorded)
	if err != nil {
		return false, fmt.Errorf("compare the tenant key with the catalog's: %w", known(err))
	}
	return bytes.Equal(recorded, check), nil
}

// TenantKeyCheck returns the recorded check value of the tenant key; nil if there is none. It changes nothing.
func (s *Store) TenantKeyCheck(ctx context.Context) (check []byte, err error) {
	err = s.pool.QueryRow(ctx, `select (select tenant_key_check from installation)`).Scan(&check)
	if err != nil {
		return nil, fmt.Errorf("read the tenant key's check value: %w", known(err))
	}
	return check, nil
}

// SetTenantKeyCheck records that the tenants' passwords are derived from another key from now on.
func (s *Store) SetTenantKeyCheck(ctx context.Context, check []byte, actor string) error {
	_, err := s.pool.Exec(ctx, `
		with changed as (
			insert into installation (tenant_key_check)
			values ($1)
			on conflict (only_row) do update set tenant_key_check = excluded.tenant_key_check
			where installation.tenant_key_check <> excluded.tenant_key_check
			returning true
		)
		insert into audit_events (actor, action)
		select $2, 'tenant_key.change'
		from changed`, check, actor)
	if err != nil {
		return fmt.Errorf("record the tenant key's check value: %w", known(err))
	}
	return nil
}

// SystemIdentifiers returns Postgres's identifiers of the servers' clusters, by the servers' names, if they are known.
func (s *Store) SystemIdentifiers(ctx context.Context) (map[string]uint64, error) {
	rows, err := many[struct {
		Name             string
		SystemIdentifier int64
	}](ctx, s.pool, `select name, system_identifier from servers where system_identifier is not null`)
	if err != nil {
		return nil, fmt.Errorf("read the servers' system identifiers: %w", err)
	}
	identifiers := make(map[string]uint64, len(rows))
	for _, row := range rows {
		identifiers[row.Name] = uint64(row.SystemIdentifier)
	}
	return identifiers, nil
}

// LearnSystemIdentifier records a server's identifier, unless one is recorded.
func (s *Store) LearnSystemIdentifier(ctx context.Context, server string, identifier uint64) error {
	_, err := s.pool.Exec(ctx, `
		update servers set system_identifier = $2 where name = $1 and system_identifier is null`, server, int64(identifier))
	if err != nil {
		return fmt.Errorf("record the system identifier of server %s: %w", server, err)
	}
	return nil
}

// ReplaceSystemIdentifier records that a server is another cluster from now on. It fails with [ErrStateChanged] if the
// expected old one is not recorded any more.
func (s *Store) ReplaceSystemIdentifier(ctx context.Context, server string, seen, now uint64, actor string) error {
	tag, err := s.pool.Exec(ctx, `
		with changed as (
			update servers set system_identifier = $3 where name = $1 and system_identifier = $2 returning name
		)
		insert into audit_events (actor, action, details)
		select $4, 'server.cluster_changed', jsonb_build_object('server', name)
		from changed`, server, int64(seen), int64(now), actor)
	if err == nil && tag.RowsAffected() != 1 {
		err = ErrStateChanged
	}
	if err != nil {
		return fmt.Errorf("record the system identifier of server %s: %w", server, err)
	}
	return nil
}
