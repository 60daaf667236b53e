package signup_test

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	"homeroom/identity"
)

// login is an identity at the simulated provider. One that a stranger has made carries no metadata.
type login struct {
	id    uuid.UUID
	email string
	meta  identity.Metadata
	// signup and tenant are what the metadata name.
	signup, tenant uuid.UUID
}

func (l login) user() identity.User {
	return identity.User{ID: "sim|" + l.id.String(), Email: l.email, Metadata: l.meta}
}

// providerSim is a process's way to the simulated provider.
type providerSim struct {
	w    *world
	proc *process
}

var _ identity.Provider = providerSim{}

// weak is the password that the provider refuses.
const weak = "weak-password"

func (p providerSim) call(what string, about uuid.UUID, detail string) *call {
	return &call{
		proc: p.proc, system: "identity", what: what, about: about, detail: detail,
		lost: func() error { return &identity.Unavailable{Unknown: true, Err: errors.New("the answer was lost")} },
		refused: func(n int) error {
			if n == 1 {
				return &identity.Unavailable{Throttled: true, RetryAfter: 3 * time.Second, Err: errors.New("too many requests")}
			}
			return &identity.Unavailable{Err: errors.New("it was never sent")}
		},
	}
}

// Create implements identity.Provider.
func (p providerSim) Create(ctx context.Context, user identity.NewUser) (identity.User, error) {
	return ask(ctx, p.w, p.call("create", user.ID, user.Email), func() (identity.User, error) {
		taken := slices.ContainsFunc(p.w.logins, func(l login) bool { return l.email == user.Email || l.id == user.ID })
		switch {
		case user.Password.Reveal() == weak:
			return identity.User{}, &identity.Rejected{Field: "password", Code: "too_weak", Message: "Choose another."}
		case taken:
			return identity.User{}, identity.ErrExists
		}
		made := login{id: user.ID, email: user.Email, meta: user.Metadata}
		made.signup, made.tenant = uuid.MustParse(user.Metadata.SignupID), uuid.MustParse(user.Metadata.TenantID)
		p.w.logins = append(p.w.logins, made)
		return made.user(), nil
	})
}

// Lookup implements identity.Provider.
func (p providerSim) Lookup(ctx context.Context, id uuid.UUID) (identity.User, error) {
	return ask(ctx, p.w, p.call("lookup", id, ""), func() (identity.User, error) {
		for _, l := range p.w.logins {
			if l.id == id {
				return l.user(), nil
			}
		}
		return identity.User{}, identity.ErrNotFound
	})
}

// LookupEmail implements identity.Provider.
func (p providerSim) LookupEmail(ctx context.Context, email string) ([]identity.User, error) {
	return ask(ctx, p.w, p.call("lookup by e-mail", uuid.Nil, email), func() ([]identity.User, error) {
		found := []identity.User{}
		for _, l := range p.w.logins {
			if l.email == email {
				found = append(found, l.user())
			}
		}
		return found, nil
	})
}

// Delete implements identity.Provider.
func (p providerSim) Delete(ctx context.Context, id uuid.UUID) error {
	_, err := ask(ctx, p.w, p.call("delete", id, ""), func() (struct{}, error) {
		p.w.logins = slices.DeleteFunc(p.w.logins, func(l login) bool {
			if l.id == id {
				p.w.freed[l.email] = time.Now()
			}
			return l.id == id
		})
		return struct{}{}, nil
	})
	return err
}
