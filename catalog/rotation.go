package catalog

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// RaiseRotationTx increments the rotation from which the password of a tenant's role is derived, in the caller's
// transaction, and returns the new tenant. It fails with [ErrStateChanged] for one that is being built, or deleted.
func (s *Store) RaiseRotationTx(ctx context.Context, tx pgx.Tx, id uuid.UUID) (Tenant, error) {
	t, err := one[Tenant](ctx, tx, `
		update tenants
		set password_rotation = password_rotation + 1, updated_at = now(), `+keepClaimable+`
		where id = $1 and state not in ('building', 'deleting', 'deleted')
		returning `+tenantColumns, id)
	if errors.Is(err, pgx.ErrNoRows) || errors.Is(known(err), ErrNotFound) {
		err = ErrStateChanged
	}
	if err != nil {
		return Tenant{}, fmt.Errorf("raise the rotation of tenant %s: %w", id, known(err))
	}
	return t, nil
}
