-- The registry: which tenants exist, on which server, for whom, and how far each sign-up has come.
-- The times that decide anything are this server's now().

create table servers (
    name text primary key
        constraint a_server_name_is_lower_case check (name ~ '^[a-z][a-z0-9_]{0,30}$'),
    -- How much of the new tenants it takes, relative to the others; 0 takes none.
    weight integer not null default 1
        constraint a_weight_is_not_negative check (weight >= 0),
    -- How many tenants it may hold; null is no limit.
    capacity integer
        constraint a_capacity_is_not_negative check (capacity >= 0),
    created_at timestamptz not null default now()
);

create table tenants (
    id uuid primary key,
    server text not null
        constraint a_tenant_lives_on_a_known_server references servers (name),
    database text not null
        constraint a_database_belongs_to_one_tenant unique
        constraint a_database_name_is_generated check (database ~ '^t_[a-z2-7]{26}$'),
    state text not null
        constraint a_tenant_state_is_known check (state in (
            'building', 'spare', 'reserved', 'ready', 'quarantined', 'suspended', 'deleting', 'deleted')),
    name text
        constraint a_school_name_has_2_to_100_characters check (char_length(name) between 2 and 100),
    slug text
        constraint a_slug_names_one_school unique
        constraint a_slug_is_made_of_words check (slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$' and char_length(slug) <= 80),
    -- Which migrations its schema comes from; a version says nothing without it.
    lineage text not null,
    schema_version bigint not null default 0
        constraint a_schema_version_is_not_negative check (schema_version >= 0),
    fingerprint text,
    -- Which of the passwords derived for its role is the present one.
    password_rotation integer not null default 0,
    -- Why it is quarantined, and what it becomes when the cause is gone.
    quarantine_cause text,
    resume_state text,
    -- What provisioning did last, step by step.
    steps jsonb not null default '[]',
    -- For a school: when it signed up. For a spare: when it was begun.
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    ready_at timestamptz,
    constraint a_name_comes_with_a_slug check ((name is null) = (slug is null)),
    constraint a_spare_has_no_name check (state <> 'spare' or name is null),
    constraint a_school_has_a_name check (state not in ('reserved', 'ready', 'suspended') or name is not null),
    constraint a_quarantine_has_a_cause check (
        (state = 'quarantined') = (quarantine_cause is not null) and (state = 'quarantined') = (resume_state is not null))
);

create index tenants_spare on tenants (created_at) where state = 'spare';
create index tenants_building on tenants (created_at) where state = 'building';
create index tenants_listing on tenants (created_at desc, id desc) where name is not null;
create index tenants_by_version on tenants (schema_version);

create table users (
    id uuid primary key,
    tenant_id uuid not null
        constraint a_user_belongs_to_a_tenant references tenants (id),
    email text not null
        constraint an_email_is_normalised check (email = lower(email) and email = btrim(email) and char_length(email) <= 254),
    identity_id text
        constraint an_identity_belongs_to_one_user unique,
    email_verified boolean not null default false,
    role text not null default 'owner',
    state text not null default 'pending'
        constraint a_user_state_is_known check (state in ('pending', 'active', 'deleted')),
    given_name text,
    family_name text,
    name text,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint an_active_user_has_an_identity check (state <> 'active' or identity_id is not null)
);

create unique index a_live_email_has_one_user on users (email) where state <> 'deleted';
create index users_by_tenant on users (tenant_id);

create table signups (
    -- Random, because knowing it is the permission to read it.
    id uuid primary key,
    idempotency_key text
        constraint an_idempotency_key_names_one_signup unique
        constraint an_idempotency_key_has_16_to_255_characters check (char_length(idempotency_key) between 16 and 255),
    -- A keyed hash of the request without its password: tells a repetition from another request with the same key.
    request_hash bytea not null,
    -- Not a foreign key: it outlives the row of a user whose sign-up failed, because the identity has this id.
    user_id uuid not null,
    tenant_id uuid
        constraint a_signup_is_for_a_tenant references tenants (id),
    email text not null,
    school_name text not null,
    status text not null default 'pending'
        constraint a_signup_status_is_known check (status in (
            'pending', 'awaiting_verification', 'provisioning', 'ready', 'failed', 'expired')),
    steps jsonb not null default '[]',
    -- What the caller was told once it was ready, to be told again word for word.
    result jsonb,
    -- Why it failed, fit for the caller.
    problem jsonb,
    -- Grows each time another worker takes the sign-up over; a write of an earlier holder changes nothing.
    lease_epoch integer not null default 1,
    -- From then on anybody may take it over; null when nothing is left to do.
    check_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    finished_at timestamptz,
    constraint a_ready_signup_has_a_result check (status <> 'ready' or result is not null),
    constraint an_unfinished_signup_is_looked_after check (
        status not in ('pending', 'awaiting_verification', 'provisioning') or check_at is not null)
);

create index signups_to_check on signups (check_at) where check_at is not null;
create index signups_by_tenant on signups (tenant_id);
create index signups_by_user on signups (user_id);

create table migration_runs (
    id uuid primary key,
    state text not null default 'running'
        constraint a_run_state_is_known check (state in ('running', 'done', 'failed')),
    to_version bigint not null,
    total integer not null,
    started_by text not null,
    -- The tenants it was narrowed to; empty is the whole fleet.
    only_tenants text[] not null default '{}',
    problem text,
    started_at timestamptz not null default now(),
    finished_at timestamptz,
    constraint a_run_is_running_or_finished check ((state = 'running') = (finished_at is null))
);

create unique index one_run_at_a_time on migration_runs (state) where state = 'running';

create table migration_outcomes (
    run_id uuid not null
        constraint an_outcome_belongs_to_a_run references migration_runs (id) on delete cascade,
    tenant_id uuid not null,
    database text not null,
    slug text,
    state text not null
        constraint an_outcome_is_done_or_failed check (state in ('done', 'failed')),
    from_version bigint not null,
    to_version bigint not null,
    problem text,
    duration_ms bigint not null,
    finished_at timestamptz not null default now(),
    primary key (run_id, tenant_id),
    constraint a_failure_has_a_problem check ((state = 'failed') = (problem is not null))
);

create table audit_events (
    id bigint generated always as identity primary key,
    at timestamptz not null default now(),
    actor text not null,
    action text not null,
    tenant_id uuid,
    signup_id uuid,
    request_id text,
    details jsonb not null default '{}'
);

create index audit_events_by_tenant on audit_events (tenant_id, at desc);

-- One row per client address and limit. Unlogged: a crash may forget it, and no sign-up waits for its fsync.
create unlogged table rate_limits (
    key text primary key,
    -- When a client that stops now is back at its full allowance (GCRA's theoretical arrival time).
    full_at timestamptz not null
);

create index rate_limits_by_time on rate_limits (full_at);
