-- A person whose sign-up waits until its e-mail is confirmed is not a user yet: anybody can type an address. Several such
-- sign-ups may wait with one address; only the confirmation makes one of them the address's user.
alter table users
    drop constraint a_user_state_is_known,
    add constraint a_user_state_is_known check (state in ('unconfirmed', 'pending', 'active', 'deleted'));

drop index a_live_email_has_one_user;
create unique index a_live_email_has_one_user on users (email) where state in ('pending', 'active');

-- The logins of sign-ups that wait already were made with passwords that nobody has proven to be the address's owner's. These
-- sign-ups end, and their logins are removed. Those with a login that existed before go on waiting.
update users
set state = 'unconfirmed', identity_id = null
from signups
where signups.user_id = users.id and signups.status = 'awaiting_verification';

update signups
set check_at = now()
where status = 'awaiting_verification' and identity_id is null;
