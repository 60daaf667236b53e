package catalog

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
)

// SignupSummary is a sign-up as an operator sees it. What its person told is empty once their user is deleted.
type SignupSummary struct {
	ID            uuid.UUID
	Status        Status
	Email         string
	EmailVerified bool
	Name          string
	SchoolName    string
	Profile       map[string]string
	TenantID      *uuid.UUID
	// Steps and Problem are as in [Signup].
	Steps     json.RawMessage
	Problem   json.RawMessage
	CreatedAt time.Time
	// ExpiresAt is until when it waits for a person; nil where it does not.
	ExpiresAt  *time.Time
	FinishedAt *time.Time
}

const summarySelect = `
	select signups.id, status, signups.email, coalesce(email_verified, false) as email_verified,
		coalesce(name, nullif(concat_ws(' ', given_name, family_name), ''), '') as name, school_name,
		coalesce(profile, '{}') as profile, signups.tenant_id, steps, problem, signups.created_at,
		case when status in ('awaiting_verification', 'awaiting_approval') then check_at end as expires_at, finished_at
	from signups
	left join users on users.id = user_id`

// SignupSummary finds a sign-up, whatever its status.
func (s *Store) SignupSummary(ctx context.Context, id uuid.UUID) (SignupSummary, error) {
	signup, err := one[SignupSummary](ctx, s.pool, summarySelect+` where signups.id = $1`, id)
	if err != nil {
		return SignupSummary{}, fmt.Errorf("find sign-up %s: %w", id, known(err))
	}
	return signup, nil
}

// Signups lists the sign-ups of a status, or all with an empty one, the oldest first. It fails with [ErrBadCursor].
func (s *Store) Signups(ctx context.Context, status Status, cursor string, limit int) (Page[SignupSummary], error) {
	condition := "true"
	if slices.Contains(Statuses, status) {
		condition = "status = '" + string(status) + "'" // a constant, so that the index of just that status fits
	}
	page, err := list[SignupSummary]{
		query: summarySelect + " where " + condition, key: "signups.created_at, signups.id", table: "signups",
		id: func(s SignupSummary) uuid.UUID { return s.ID },
	}.page(ctx, s.pool, cursor, limit)
	if err != nil {
		return page, fmt.Errorf("list sign-ups: %w", err)
	}
	return page, nil
}
