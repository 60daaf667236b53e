drop index signups_needing_an_operator;
alter table signups
    drop constraint a_failed_signup_has_no_tenant,
    drop constraint a_signup_status_is_known;

update signups
set status = 'failed', finished_at = coalesce(finished_at, now()), updated_at = now()
where status = 'needs_operator';

alter table signups
    add constraint a_signup_status_is_known check (status in (
        'pending', 'awaiting_verification', 'awaiting_approval', 'provisioning', 'ready', 'failed', 'expired'));
