-- Earlier programs know one user for each address: sign-ups that wait for a confirmation end.
update signups
set status = 'expired', idempotency_key = null, finished_at = coalesce(finished_at, now()), check_at = now()
from users
where users.id = signups.user_id and users.state = 'unconfirmed';

delete from users where state = 'unconfirmed';

drop index a_live_email_has_one_user;
create unique index a_live_email_has_one_user on users (email) where state <> 'deleted';

alter table users
    drop constraint a_user_state_is_known,
    add constraint a_user_state_is_known check (state in ('pending', 'active', 'deleted'));
