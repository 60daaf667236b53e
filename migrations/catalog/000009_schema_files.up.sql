-- The tenants' migration files that have run, by which a changed one is told. A row counts once a tenant has its version;
-- until then it may change.
create table schema_files (
    lineage text not null,
    version bigint not null,
    name text not null,
    -- Of the content, whatever its line ends.
    hash text not null,
    recorded_at timestamptz not null default now(),
    primary key (lineage, version)
);

alter table schema_references
    -- What a description depends on besides the files: the major version of Postgres that printed it, and a hash of what
    -- Homeroom itself grants. Both are null where an older program recorded it.
    add column postgres int,
    add column grants text;
