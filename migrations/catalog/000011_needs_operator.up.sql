-- A sign-up that only a person can judge has a status of its own; it was failed, and had kept its tenant or its user.
alter table signups
    drop constraint a_signup_status_is_known,
    add constraint a_signup_status_is_known check (status in (
        'pending', 'awaiting_verification', 'awaiting_approval', 'provisioning', 'needs_operator', 'ready', 'failed', 'expired'));

update signups
set status = 'needs_operator', finished_at = null, updated_at = now()
where status = 'failed'
    and (tenant_id is not null or exists (select from users where users.id = user_id and users.state <> 'deleted'));

-- An earlier program that still runs cannot leave one as failed: it stays due, and a program that knows the status has it next.
alter table signups
    add constraint a_failed_signup_has_no_tenant check (status <> 'failed' or tenant_id is null);

create index signups_needing_an_operator on signups (created_at) where status = 'needs_operator';
