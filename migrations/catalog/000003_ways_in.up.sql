-- The other ways in: logins that exist already, sign-ups that wait for a person, further members of a school; and what has
-- happened, for whoever wants to be told.

alter table tenants
    -- The identity provider's organization for the school; null where it has none.
    add column organization_id text;

alter table users
    -- Null while a sign-up waits for a person, and has no tenant yet.
    alter column tenant_id drop not null,
    -- What else the person told of themselves.
    add column profile jsonb not null default '{}',
    -- The language that they read, as a BCP 47 tag; null is the service's own.
    add column locale text,
    add constraint a_role_is_known check (role in ('owner', 'admin', 'member')),
    add constraint an_active_user_belongs_to_a_tenant check (state <> 'active' or tenant_id is not null);

alter table signups
    drop constraint a_signup_status_is_known,
    drop constraint an_unfinished_signup_is_looked_after,
    -- Whether it makes a school with its owner, or a member of a school that exists.
    add column kind text not null default 'school'
        constraint a_signup_kind_is_known check (kind in ('school', 'member')),
    -- The login that it takes on; null where it makes one.
    add column identity_id text,
    -- The invitation that it answers.
    add column invitation_id uuid,
    add constraint a_signup_status_is_known check (status in (
        'pending', 'awaiting_verification', 'awaiting_approval', 'provisioning', 'ready', 'failed', 'expired')),
    add constraint an_unfinished_signup_is_looked_after check (
        status not in ('pending', 'awaiting_verification', 'awaiting_approval', 'provisioning') or check_at is not null);

-- One that has expired has its login until it has been released, so that nobody takes on what is about to be released.
create unique index a_login_has_one_unfinished_signup on signups (identity_id) where check_at is not null;
create index signups_awaiting_approval on signups (created_at) where status = 'awaiting_approval';

create table invitations (
    id uuid primary key,
    -- The school that the person is to join; null invites them to sign a school up.
    tenant_id uuid
        constraint an_invitation_is_to_a_tenant references tenants (id),
    email text not null
        constraint an_invited_email_is_normalised check (email = lower(email) and email = btrim(email) and char_length(email) <= 254),
    role text not null
        constraint an_invited_role_is_known check (role in ('owner', 'admin', 'member')),
    locale text,
    -- A user's identity, or "operator".
    invited_by text not null,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null,
    revoked_at timestamptz,
    accepted_at timestamptz,
    constraint an_invitation_ends_once check (revoked_at is null or accepted_at is null)
);

create unique index one_open_invitation_per_person on invitations (tenant_id, email) nulls not distinct
    where revoked_at is null and accepted_at is null;
create index invitations_by_tenant on invitations (tenant_id, created_at desc);

-- What has happened, written by the statement that made it true. A relay hands each on once, in their order.
create table outbox_events (
    id uuid primary key default gen_random_uuid(),
    number bigint generated always as identity,
    type text not null,
    tenant_id uuid,
    signup_id uuid,
    data jsonb not null default '{}',
    created_at timestamptz not null default now(),
    relayed_at timestamptz
);

create index outbox_events_to_relay on outbox_events (number) where relayed_at is null;
create index outbox_events_by_time on outbox_events (created_at);

-- Whoever takes a school out of use, or ends a run over the fleet, tells so in the same breath.
create function tell_of_tenant() returns trigger language plpgsql as $$
begin
    insert into outbox_events (type, tenant_id, data)
    values (
        case new.state when 'quarantined' then 'tenant.failed' else 'tenant.' || new.state end,
        new.id,
        jsonb_strip_nulls(jsonb_build_object(
            'id', new.id, 'name', old.name, 'slug', old.slug,
            'reason', case new.state when 'quarantined' then coalesce(new.quarantine_kind, 'unknown') end)));
    return null;
end
$$;

create trigger tell_of_tenant after update of state on tenants
    for each row
    when (new.state is distinct from old.state and new.state in ('quarantined', 'suspended', 'deleted') and old.name is not null)
    execute function tell_of_tenant();

create function tell_of_run() returns trigger language plpgsql as $$
begin
    insert into outbox_events (type, data)
    select 'migration.finished', jsonb_build_object(
        'runId', new.id, 'state', new.state, 'direction', new.direction, 'toVersion', new.to_version, 'total', new.total,
        'done', count(*) filter (where state = 'done'), 'failed', count(*) filter (where state = 'failed'))
    from migration_outcomes
    where run_id = new.id;
    return null;
end
$$;

create trigger tell_of_run after update of finished_at on migration_runs
    for each row
    when (old.finished_at is null and new.finished_at is not null)
    execute function tell_of_run();
