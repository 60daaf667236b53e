-- A spare is given to a school only while it is certain that no school has ever had it.

-- The Postgres process and the database in which the catalog's rows are read now. It changes when the catalog is restored,
-- copied, failed over, or restarted: whatever may have brought back rows of an earlier time.
create function catalog_instance() returns text
    language sql stable parallel safe
    as $$
        select pg_database.oid::text || ' ' || extract(epoch from pg_postmaster_start_time())::text
        from pg_database
        where datname = current_database()
    $$;

alter table tenants
    -- A spare can be claimed while its row is still the version that this transaction wrote (xmin), and is read in this
    -- instance of the catalog. A row that was restored, copied or edited by hand is another version.
    add column claimable_xid xid,
    add column claimable_in text,
    -- When its database was marked, on its server, as in use; see the package tenant.
    add column marked_at timestamptz;

create index tenants_unmarked on tenants (server) where marked_at is null and name is not null;

alter table servers
    -- Postgres's own identifier of the cluster; null as long as nobody has asked.
    add column system_identifier bigint;

-- What belongs to this installation as a whole: one row.
create table installation (
    only_row boolean primary key default true
        constraint an_installation_has_one_row check (only_row),
    -- Tells whether a process has the right HOMEROOM_TENANT_KEY. It is derived from the key, which cannot be computed from it.
    tenant_key_check bytea not null,
    created_at timestamptz not null default now()
);
