package catalog

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// WaitingSignup is a sign-up that waits for an operator, as one needs it to judge.
type WaitingSignup struct {
	ID            uuid.UUID
	Email         string
	EmailVerified bool
	Name          string
	SchoolName    string
	Profile       map[string]string
	CreatedAt     time.Time
	ExpiresAt     time.Time
}

// WaitingSignups lists the sign-ups that wait for approval, the oldest first: at most limit of those after the one named
// after, which may be the zero UUID.
func (s *Store) WaitingSignups(ctx context.Context, after uuid.UUID, limit int) ([]WaitingSignup, error) {
	signups, err := many[WaitingSignup](ctx, s.pool, `
		select signups.id, signups.email, email_verified,
			coalesce(name, nullif(concat_ws(' ', given_name, family_name), ''), '') as name,
			school_name, profile, signups.created_at, check_at as expires_at
		from signups
		join users on users.id = user_id
		where status = 'awaiting_approval' and ($1 = '00000000-0000-0000-0000-000000000000'::uuid
			or (signups.created_at, signups.id) > (select created_at, id from signups where id = $1))
		order by signups.created_at, signups.id
		limit $2`, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list sign-ups that wait: %w", err)
	}
	return signups, nil
}
