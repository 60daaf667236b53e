-- Who outside wants to be told of what happens, and how telling them has gone.

create table webhook_endpoints (
    id uuid primary key,
    url text not null
        constraint a_webhook_has_an_address check (char_length(url) between 1 and 2000),
    description text not null default '',
    -- The types of events that it is told; none are all.
    events text[] not null default '{}',
    -- Which secret signs: it is derived from the server's key, the id and this number, and is stored nowhere.
    rotation integer not null default 0,
    rotated_at timestamptz,
    enabled boolean not null default true,
    disabled_because text,
    created_by text not null,
    created_at timestamptz not null default now(),
    constraint a_disabled_webhook_says_why check (enabled = (disabled_because is null))
);

-- An event on its way to an endpoint. Its id is the webhook-id, whatever becomes of it.
create table webhook_deliveries (
    id uuid primary key,
    event_id uuid not null
        constraint a_delivery_is_of_an_event references outbox_events (id) on delete cascade,
    endpoint_id uuid not null
        constraint a_delivery_is_to_an_endpoint references webhook_endpoints (id) on delete cascade,
    state text not null default 'pending'
        constraint a_delivery_state_is_known check (state in ('pending', 'delivered', 'dead')),
    -- How often it was begun to be sent, and how much of that was before it was wanted again.
    attempts integer not null default 0,
    attempts_before integer not null default 0,
    -- When it may be sent next: while it is being sent, when that is taken for lost.
    next_attempt_at timestamptz default now(),
    -- When the last attempt began, and when the last that is known to have ended did.
    attempted_at timestamptz,
    ended_at timestamptz,
    last_status integer,
    last_problem text,
    created_at timestamptz not null default now(),
    constraint one_delivery_per_event_and_endpoint unique (event_id, endpoint_id),
    constraint a_pending_delivery_is_looked_after check ((state = 'pending') = (next_attempt_at is not null))
);

create index webhook_deliveries_by_endpoint on webhook_deliveries (endpoint_id, id desc);
create index webhook_deliveries_untried on webhook_deliveries (endpoint_id) where state = 'pending' and ended_at is null;
create index webhook_deliveries_pending on webhook_deliveries (next_attempt_at) where state = 'pending';
