package signup_test

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	"homeroom/identity"
	"homeroom/internal/modeltest"
	"homeroom/messages"
)

// simAccount is an account at the simulated provider. One that a person has created there has no metadata.
type simAccount struct {
	id       string    // the provider's id
	our      uuid.UUID // our id, with which a sign-up created it; zero if a person created it
	email    string
	verified bool
	password string
	meta     identity.Metadata
	// signup and tenant are the ids in the metadata.
	signup, tenant uuid.UUID
}

// setMetadata writes its metadata.
func (l *simAccount) setMetadata(m identity.Metadata) {
	l.meta, l.signup, l.tenant = m, uuid.Nil, uuid.Nil
	if m.SignupID != "" {
		l.signup = uuid.MustParse(m.SignupID)
	}
	if m.TenantID != "" {
		l.tenant = uuid.MustParse(m.TenantID)
	}
}

// providerSim is a process's connection to the simulated provider, which has every optional ability.
type providerSim struct {
	w    *world
	proc *process
}

var (
	_ identity.Provider            = providerSim{}
	_ identity.MetadataUnsupported = providerSim{}
	_ identity.MembershipManager   = providerSim{}
	_ identity.AccountLinker       = providerSim{}
	_ identity.Verifier            = providerSim{}

	_ identity.PasswordSetter = providerSim{}
)

// weak is the password that the provider refuses.
const weak = "weak-password"

var refusedPassword = &identity.Rejected{Field: "password", Code: "too_weak", Message: messages.Verbatim("Choose another.")}

func (p providerSim) call(what string, about uuid.UUID, detail string) *modeltest.Call {
	return &modeltest.Call{
		Process: p.proc.Process, System: "identity", What: what, About: p.w.describe(about, detail),
		Lost: func() error { return &identity.Unavailable{Unknown: true, Err: errors.New("the answer was lost")} },
		Refused: func(kind int) error {
			if kind == 1 {
				return &identity.Unavailable{Throttled: true, RetryAfter: 3 * time.Second, Err: errors.New("too many requests")}
			}
			return &identity.Unavailable{Err: errors.New("it was never sent")}
		},
	}
}

// user returns an account as the provider shows it.
func (p providerSim) user(l simAccount) identity.User {
	user := identity.User{ID: l.id, OurID: l.our, Email: l.email, EmailVerified: l.verified}
	if !p.MetadataUnsupported() {
		user.Metadata = l.meta
	}
	return user
}

// account finds an account by the provider's id.
func (w *world) account(id string) *simAccount {
	for i := range w.accounts {
		if w.accounts[i].id == id {
			return &w.accounts[i]
		}
	}
	return nil
}

// removeAccount removes an account with its memberships.
func (w *world) removeAccount(id string) {
	l := w.account(id)
	if l == nil {
		return
	}
	w.freed[l.email] = time.Now()
	w.accounts = slices.DeleteFunc(w.accounts, func(l simAccount) bool { return l.id == id })
	for _, o := range w.organizations {
		delete(o.members, id)
	}
}

// Create implements identity.Provider.
func (p providerSim) Create(ctx context.Context, user identity.NewUser) (identity.User, error) {
	return modeltest.Ask(ctx, p.w.World, p.call("create", user.ID, user.Email), func() (identity.User, error) {
		taken := slices.ContainsFunc(p.w.accounts, func(l simAccount) bool { return l.email == user.Email || l.our == user.ID })
		switch {
		case user.Password.Reveal() == weak:
			return identity.User{}, refusedPassword
		case taken:
			return identity.User{}, identity.ErrExists
		}
		made := simAccount{
			id: "sim|" + user.ID.String(), our: user.ID, email: user.Email, verified: user.EmailVerified, password: user.Password.Reveal(),
		}
		made.setMetadata(user.Metadata)
		p.w.accounts = append(p.w.accounts, made)
		return p.user(made), nil
	})
}

// Lookup implements identity.Provider.
func (p providerSim) Lookup(ctx context.Context, id uuid.UUID) (identity.User, error) {
	return modeltest.Ask(ctx, p.w.World, p.call("lookup", id, ""), func() (identity.User, error) {
		return p.found("sim|" + id.String())
	})
}

func (p providerSim) found(id string) (identity.User, error) {
	if l := p.w.account(id); l != nil {
		return p.user(*l), nil
	}
	return identity.User{}, identity.ErrNotFound
}

// LookupEmail implements identity.Provider.
func (p providerSim) LookupEmail(ctx context.Context, email string) ([]identity.User, error) {
	return modeltest.Ask(ctx, p.w.World, p.call("lookup by e-mail", uuid.Nil, email), func() ([]identity.User, error) {
		found := []identity.User{}
		for _, l := range p.w.accounts {
			if l.email == email {
				found = append(found, p.user(l))
			}
		}
		return found, nil
	})
}

// Delete implements identity.Provider.
func (p providerSim) Delete(ctx context.Context, id uuid.UUID) error {
	return modeltest.Do(ctx, p.w.World, p.call("delete", id, ""), func() error {
		p.w.removeAccount("sim|" + id.String())
		return nil
	})
}

// MetadataUnsupported implements identity.MetadataUnsupported.
func (p providerSim) MetadataUnsupported() bool { return p.w.shape.noMetadata }
