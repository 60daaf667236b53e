-- Mails to people: one for an event that somebody is to be told of. A row never holds a link or a token; they are made when the
-- mail is sent.
create table mails (
    id uuid primary key default gen_random_uuid(),
    -- The event that it tells of. Events are forgotten on their own, so there is no reference.
    event_id uuid not null,
    kind text not null,
    -- What the mail is about, for its link.
    signup_id uuid,
    recipient text not null
        constraint a_recipient_is_an_address check (recipient like '%_@_%' and char_length(recipient) <= 254),
    -- What the person reads, as a BCP 47 tag; null is the service's own.
    locale text,
    data jsonb not null default '{}',
    state text not null default 'queued'
        constraint a_mail_state_is_known check (state in ('queued', 'sending', 'sent', 'failed', 'unknown')),
    -- How often somebody has begun to send it. It also names the holder, whose writes must carry it.
    attempts int not null default 0,
    -- Until when nobody else may begin, by this server's clock.
    held_until timestamptz,
    problem text,
    created_at timestamptz not null default now(),
    finished_at timestamptz,
    constraint an_event_makes_one_mail_of_a_kind unique (event_id, kind),
    constraint a_finished_mail_says_when check ((state in ('sent', 'failed', 'unknown')) = (finished_at is not null))
);

create index mails_by_time on mails (created_at);
create index mails_by_recipient on mails (recipient, kind, created_at);
create index mails_by_signup on mails (signup_id) where signup_id is not null;
