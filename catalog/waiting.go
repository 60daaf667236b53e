package catalog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// ReserveUnconfirmed inserts a school's sign-up that waits until its e-mail is confirmed, and its person, who is no
// user before that: any number of such sign-ups may wait with one e-mail. If notify is true, it inserts the event of a
// mail to the e-mail's owner: with the link that confirms it, or, if the e-mail has an account, with that fact.
//
// Without hideAccounts a sign-up whose e-mail has an account fails with [ErrEmailTaken]. With it, one statement and one
// commit write the same rows in both cases. It fails with [ErrKeyTaken], and with [ErrIdentityTaken] if an unfinished
// sign-up has the identity.
func (s *Store) ReserveUnconfirmed(ctx context.Context, r ReserveParams, hideAccounts, notify bool, timeout time.Duration) (Reservation, error) {
	args := r.args()
	args["conceal"], args["tell"], args["patience"] = hideAccounts, notify, timeout
	row, err := one[struct {
		CheckAt    *time.Time
		SignedUpAt time.Time
	}](ctx, s.pool, `
		with account as (
			select exists (select from users where email = @email and state in ('pending', 'active')) as exists
		), person as (
			insert into users (id, state, `+personColumns+`)
			select @user_id, 'unconfirmed', `+personValues+`
			from account
			where @conceal or not account.exists
			returning id, email, locale, given_name, name
		), signup as (
			insert into signups (id, idempotency_key, request_hash, user_id, email, school_name, steps, kind, identity_id, status,
				check_at)
			select @signup_id, nullif(@idempotency_key, ''), @request_hash, person.id, @email, @school_name, @steps, @kind,
				nullif(@identity_id, ''), 'awaiting_verification', now() + @patience::interval
			from person
			returning id, check_at, created_at, school_name
		), told as (
			insert into outbox_events (type, signup_id, data)
			select case when account.exists then 'signup.repeated' else 'signup.awaiting_verification' end, signup.id,
				`+signupNotification+`
			from signup, person, account
			where @tell
		)
		select check_at, created_at as signed_up_at from signup`, args)
	if errors.Is(err, pgx.ErrNoRows) {
		err = ErrEmailTaken
	}
	if err != nil {
		return Reservation{}, fmt.Errorf("reserve unconfirmed: %w", known(err))
	}
	reservation := r.reservation(row.CheckAt, row.SignedUpAt)
	reservation.Signup.Status = AwaitingVerification
	return reservation, nil
}

// SignupByIdentity finds the unfinished sign-up of an identity that existed before it.
func (s *Store) SignupByIdentity(ctx context.Context, identityID string) (Signup, error) {
	signup, err := one[Signup](ctx, s.pool, `
		select `+signupColumns+` from signups where identity_id = $1 and check_at is not null`, identityID)
	if err != nil {
		return Signup{}, fmt.Errorf("find the sign-up of an identity: %w", known(err))
	}
	return signup, nil
}
