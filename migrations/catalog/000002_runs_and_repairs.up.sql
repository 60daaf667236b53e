-- Runs over the fleet that can be watched, paused and stopped; what is known of tenants' schemas; servers that are full.

alter table tenants
    -- Goes first in every run over the fleet.
    add column canary boolean not null default false,
    -- Somebody asked for it while it was behind: a run takes it before the others.
    add column wanted_at timestamptz,
    -- An operator moved it to this version on purpose: only a run that names it moves it on.
    add column held_at bigint,
    -- Null also where a program of before this column has quarantined it.
    add column quarantine_kind text
        constraint a_quarantine_kind_is_known check (quarantine_kind in ('migration', 'schema', 'database', 'replaced'));

update tenants set quarantine_kind = 'migration' where state = 'quarantined';

-- Tenants whose schema somebody must look at.
create index tenants_unseen on tenants (updated_at) where fingerprint is null;
create index tenants_wanted on tenants (wanted_at) where wanted_at is not null;

-- What a schema version looks like where nobody has changed anything by hand.
create table schema_references (
    lineage text not null,
    version bigint not null,
    fingerprint text not null,
    -- Its description, one thing a line.
    lines text[] not null,
    created_at timestamptz not null default now(),
    primary key (lineage, version)
);

alter table servers
    -- Why no database is made on it for now; null where some are.
    add column closed_because text,
    add column closed_at timestamptz,
    add constraint a_closed_server_says_why check ((closed_because is null) = (closed_at is null));

alter table migration_runs
    drop constraint a_run_state_is_known,
    drop constraint a_run_is_running_or_finished,
    -- Which files it runs: those of another program may have the same version.
    add column lineage text not null default '',
    add column schema_hash text not null default '',
    add column direction text not null default 'up'
        constraint a_run_goes_up_or_down check (direction in ('up', 'down')),
    -- How many tenants are in its first wave; 0 has none.
    add column canaries integer not null default 0
        constraint canaries_are_not_negative check (canaries >= 0),
    -- How many tenants may fail before it stops.
    add column max_failures integer not null default 2147483647
        constraint an_error_budget_is_not_negative check (max_failures >= 0),
    -- How many tenants of a server are migrated at the same time.
    add column concurrency integer not null default 8
        constraint a_concurrency_is_positive check (concurrency > 0),
    add column skip_quarantined boolean not null default false,
    -- Whether its tenants stay at its version until a run names them.
    add column hold boolean not null default false,
    -- Who paused, resumed or aborted it last.
    add column changed_by text,
    add constraint a_run_state_is_known check (state in ('running', 'paused', 'done', 'failed', 'stopped', 'aborted')),
    add constraint a_run_is_open_or_finished check ((state in ('running', 'paused')) = (finished_at is null));

drop index one_run_at_a_time;
create unique index one_run_at_a_time on migration_runs ((true)) where state in ('running', 'paused');
create index migration_runs_newest on migration_runs (started_at desc, id desc);

alter table migration_outcomes
    -- How often it was tried in this run.
    add column attempts integer not null default 1,
    -- Whether the failure says something about the migration; a lock that somebody held says nothing.
    add column counts boolean not null default true;

create index migration_outcomes_by_time on migration_outcomes (run_id, finished_at);
