drop trigger tell_of_run on migration_runs;
drop trigger tell_of_tenant on tenants;
drop function tell_of_run(), tell_of_tenant();
drop table outbox_events, invitations;
drop index signups_awaiting_approval;
update signups
set status = 'expired', finished_at = coalesce(finished_at, now()), check_at = coalesce(check_at, now())
where status = 'awaiting_approval';
alter table signups
    drop constraint an_unfinished_signup_is_looked_after,
    drop constraint a_signup_status_is_known,
    drop column invitation_id,
    drop column identity_id,
    drop column kind,
    add constraint a_signup_status_is_known check (status in (
        'pending', 'awaiting_verification', 'provisioning', 'ready', 'failed', 'expired')),
    add constraint an_unfinished_signup_is_looked_after check (
        status not in ('pending', 'awaiting_verification', 'provisioning') or check_at is not null);
delete from users where tenant_id is null;
alter table users
    drop constraint an_active_user_belongs_to_a_tenant,
    drop constraint a_role_is_known,
    drop column locale,
    drop column profile,
    alter column tenant_id set not null;
alter table tenants drop column organization_id;
