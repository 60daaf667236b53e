package catalog

import (
	"errors"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

var (
	// ErrNotFound says that there is no such row.
	ErrNotFound = errors.New("not found in the catalog")
	// ErrEmailTaken says that a live user has this e-mail, including that of a pending sign-up.
	ErrEmailTaken = errors.New("the e-mail belongs to a live user")
	// ErrIdentityTaken says that a live user has this identity, or an unfinished sign-up.
	ErrIdentityTaken = errors.New("the account belongs to a live user")
	// ErrKeyTaken says that a sign-up with this idempotency key exists.
	ErrKeyTaken = errors.New("the idempotency key belongs to another sign-up")
	// ErrNoCapacity says that no server takes new tenants: all are full, have weight 0 or are not configured here.
	ErrNoCapacity = errors.New("no server has capacity for another tenant")
	// ErrStateChanged says that a row is not in the state, or not under the lease, that the change expects: another
	// worker has changed it first.
	ErrStateChanged = errors.New("the row has changed in the meantime")
)

// errSlugTaken says that another school has this slug; Reserve then tries the next.
var errSlugTaken = errors.New("the slug belongs to another school")

// constraints maps the constraints for facts on which callers branch.
var constraints = map[string]error{
	"a_live_email_has_one_user":           ErrEmailTaken,
	"an_idempotency_key_names_one_signup": ErrKeyTaken,
	"a_slug_names_one_school":             errSlugTaken,
	"an_identity_belongs_to_one_user":     ErrIdentityTaken,
	"a_login_has_one_unfinished_signup":   ErrIdentityTaken,
	"migration_outcomes_pkey":             ErrStateChanged,
	"one_run_at_a_time":                   ErrRunActive,
	"a_tenant_lives_on_a_known_server":    ErrNoCapacity,
	"a_database_belongs_to_one_tenant":    ErrStateChanged,
	"tenants_pkey":                        ErrStateChanged,
	"signups_pkey":                        ErrStateChanged,
	"an_outcome_belongs_to_a_run":         ErrNotFound,
	"a_signup_is_for_a_tenant":            ErrStateChanged,
	"a_user_belongs_to_a_tenant":          ErrStateChanged,
}

// ParseID reads an id in its usual form of 36 characters. For any other text it fails with [ErrNotFound], as for an
// unknown id.
func ParseID(text string) (uuid.UUID, error) {
	id, err := uuid.Parse(text)
	if err != nil || len(text) != 36 {
		return uuid.Nil, ErrNotFound
	}
	return id, nil
}

// known maps errors of Postgres to the package's own errors, and returns others unchanged.
func known(err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return ErrNotFound
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		if fact, ok := constraints[pg.ConstraintName]; ok {
			return fact
		}
	}
	return err
}
