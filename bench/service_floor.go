package main

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// floorTables are the tables of the two bare commits: the rows of a sign-up, without the catalog's constraints.
const floorTables = `
	create table floor_tenants (id uuid primary key, state text not null, name text, data text);
	create table floor_users (id uuid primary key, tenant uuid not null, state text not null, email text not null);
	create table floor_signups (id uuid primary key, tenant uuid not null, status text not null, steps jsonb not null, result jsonb);
	create table floor_events (id bigint generated always as identity primary key, type text not null, data jsonb);
	insert into floor_tenants select gen_random_uuid(), 'spare', null, repeat('x', 200) from generate_series(1, 20000)`

// makeFloor creates the tables in the service's own database, and reads the template's name.
func (s *served) makeFloor(ctx context.Context) error {
	if _, err := s.catalog.Exec(ctx, floorTables); err != nil {
		return fmt.Errorf("create the tables of the lower bound: %w", err)
	}
	if _, err := s.catalog.Exec(ctx, "vacuum analyze floor_tenants"); err != nil {
		return fmt.Errorf("create the tables of the lower bound: %w", err)
	}
	err := s.until(ctx, "select exists (select from pg_database where datname like 'homeroom_template_%' and datistemplate)")
	if err != nil {
		return err
	}
	return s.catalog.QueryRow(ctx, "select datname from pg_database where datname like 'homeroom_template_%'").Scan(&s.template)
}

// twoCommits writes as many rows as a sign-up, in two statements that are a commit each.
func (s *served) twoCommits(ctx context.Context) (time.Duration, error) {
	signup, user := uuid.New(), uuid.New()
	const steps = `[{"name": "reserve", "status": "done"}, {"name": "identity", "status": "running"}]`
	var tenant uuid.UUID
	err := s.catalog.QueryRow(ctx, `
		with tenant as (
			update floor_tenants set state = 'reserved', name = 'A school'
			where id = (select id from floor_tenants where state = 'spare' for update skip locked limit 1)
			returning id
		), person as (
			insert into floor_users select $2, id, 'pending', 'somebody@school.example' from tenant
		), signup as (
			insert into floor_signups select $1, id, 'pending', $3 from tenant
		)
		select id from tenant`, signup, user, steps).Scan(&tenant)
	if err != nil {
		return 0, fmt.Errorf("first commit: %w", err)
	}
	_, err = s.catalog.Exec(ctx, `
		with signup as (
			update floor_signups set status = 'ready', steps = $3, result = $3 where id = $1
		), person as (
			update floor_users set state = 'active' where id = $2
		), events as (
			insert into floor_events (type, data) select 'event', $3::jsonb from generate_series(1, 4)
		)
		update floor_tenants set state = 'ready' where id = $4`, signup, user, steps, tenant)
	if err != nil {
		return 0, fmt.Errorf("second commit: %w", err)
	}
	return 0, nil
}
