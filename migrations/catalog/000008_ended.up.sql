-- Sign-ups and invitations that ended without a school are kept for a time, and found by when they ended.
create index signups_ended on signups (finished_at)
    where status in ('failed', 'expired') and check_at is null and tenant_id is null;
create index invitations_ended on invitations ((coalesce(accepted_at, revoked_at, expires_at)));
