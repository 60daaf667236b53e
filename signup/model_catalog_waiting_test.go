package signup_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"homeroom/catalog"
	"homeroom/tenant"
)

// The calls of the pair that are about people who wait and people who are invited.

// reservation draws any possible reservation.
func (p *pair) reservation(t *rapid.T) catalog.ReserveParams {
	id := tenant.ID(p.newID())
	n := rapid.IntRange(1, 4).Draw(t, "school")
	want := catalog.ReserveParams{
		SignupID: p.newID(), UserID: p.newID(), TenantID: id.UUID(), Database: id.Database(), RequestHash: []byte("hash"),
		Email: fmt.Sprintf("ada%d@lincoln.example", n), SchoolName: "Lincoln High", Person: catalog.Person{GivenName: "Ada"},
		Slug:    rapid.SampledFrom([]string{"lincoln-high", "lincoln-high", "lincoln-high-2", "roosevelt"}).Draw(t, "slug"),
		Lineage: rapid.SampledFrom([]string{"lunch", "lunch", "lunch", "dinner"}).Draw(t, "lineage"), SchemaVersion: 3,
		Servers: rapid.SampledFrom([][]string{{"main", "big", "shut"}, {"main", "big"}, {"big"}, {"shut"}}).Draw(t, "servers"),
		Steps:   json.RawMessage(`[]`), Lease: lease.Draw(t, "lease"),
	}
	if n := rapid.IntRange(0, 3).Draw(t, "key"); n > 0 {
		want.IdempotencyKey = fmt.Sprintf("key-of-sixteen-and-more-%d", n)
	}
	return want
}

// chooseEntryPoint lets a reservation wait, link an account, or join a school.
func (p *pair) chooseEntryPoint(t *rapid.T, want *catalog.ReserveParams) {
	switch rapid.IntRange(0, 5).Draw(t, "way") {
	case 1, 2:
		want.Waits = true
	case 3:
		want.Kind, want.Role, want.JoinTenant = catalog.Member, "admin", p.anyTenant(t)
	}
	if rapid.IntRange(0, 3).Draw(t, "own login") == 1 {
		want.IdentityID = anyIdentity.Draw(t, "identity").ID
	}
	if len(p.invitations) > 0 && rapid.Bool().Draw(t, "invited") {
		id := p.anyInvitation(t)
		want.InvitationID = &id
	}
}

func (p *pair) reserveUnconfirmed(t *rapid.T) {
	want, hideAccounts, notify := p.reservation(t), rapid.Bool().Draw(t, "conceal"), rapid.Bool().Draw(t, "tell")
	if rapid.IntRange(0, 3).Draw(t, "own login") == 1 {
		want.IdentityID = anyIdentity.Draw(t, "identity").ID
	}
	waitTimeout := lease.Draw(t, "patience")
	held, err := p.real.ReserveUnconfirmed(t.Context(), want, hideAccounts, notify, waitTimeout)
	simulated, simulatedErr := p.simulated.reserveUnconfirmed(want, hideAccounts, notify, waitTimeout)
	same(t, "reserve unconfirmed", held, err, simulated, simulatedErr)
	if err == nil {
		p.signups = append(p.signups, held.Signup)
	}
}

// signupByIdentity looks for the sign-up of an account.
func (p *pair) signupByIdentity(t *rapid.T) {
	id := anyIdentity.Draw(t, "identity").ID
	found, err := p.real.SignupByIdentity(t.Context(), id)
	simulated, simulatedErr := p.simulated.signupByIdentity(id)
	same(t, "sign-up by login", found.ID, err, simulated.ID, simulatedErr)
}

func (p *pair) wait(t *rapid.T) {
	row, identity, steps, waitTimeout := p.anySignup(t), anyIdentity.Draw(t, "identity"), json.RawMessage(`[7]`), lease.Draw(t, "patience")
	status := rapid.SampledFrom([]catalog.Status{catalog.AwaitingVerification, catalog.AwaitingApproval}).Draw(t, "status")
	err := p.real.Wait(t.Context(), *row, identity, status, steps, waitTimeout)
	same(t, "wait", nil, err, nil, p.simulated.wait(*row, identity, status, steps, waitTimeout))
	if found, lookupErr := p.real.Signup(t.Context(), row.ID); err == nil && lookupErr == nil {
		*row = found // it has a new lease
	}
}

func (p *pair) admit(t *rapid.T) {
	row, want := p.anySignup(t), p.reservation(t)
	held, err := p.real.Admit(t.Context(), *row, want)
	simulated, simulatedErr := p.simulated.admit(*row, want)
	same(t, "admit", held, err, simulated, simulatedErr)
	if err == nil {
		*row = held.Signup
		p.tenants = append(p.tenants, held.Tenant.ID)
	}
}

// expireTx expires a sign-up in a transaction, which may be rolled back.
func (p *pair) expireTx(t *rapid.T) {
	row, steps, problem, delay := *p.anySignup(t), json.RawMessage(`[8]`), json.RawMessage(`{"code":"y"}`), lease.Draw(t, "delay")
	p.inTransactions(t, "expire in a transaction", func(tx pgx.Tx) error {
		return p.real.ExpireTx(t.Context(), tx, row, steps, problem, delay)
	}, func(r *rows) error { return r.expire(row, steps, problem, delay) })
}

// inTransactions makes the same change in a transaction and to a copy of the rows, and commits both or neither.
func (p *pair) inTransactions(t *rapid.T, what string, actual func(tx pgx.Tx) error, simulated func(r *rows) error) {
	roll, back := rapid.IntRange(0, 3).Draw(t, "roll back") == 1, errors.New("roll back")
	err := p.real.InTx(t.Context(), func(tx pgx.Tx) error {
		err := actual(tx)
		if err == nil && roll {
			return back
		}
		return err
	})
	changed := p.simulated.clone()
	simulatedErr := simulated(changed)
	if simulatedErr == nil && roll {
		simulatedErr = back
	}
	if simulatedErr == nil {
		p.simulated = changed
	}
	same(t, what, nil, err, nil, simulatedErr)
}

// invite invites somebody, revokes an invitation, or reads one.
func (p *pair) invite(t *rapid.T) {
	n := catalog.NewInvitation{
		ID: p.newID(), Email: fmt.Sprintf("ada%d@lincoln.example", rapid.IntRange(1, 2).Draw(t, "invited")), Role: "member", InvitedBy: "operator",
		Lasts: lease.Draw(t, "lasts"),
	}
	for _, school := range p.simulated.tenants { // a school that is ready stays
		if school.State == catalog.Ready {
			n.TenantID = &school.ID
		}
	}
	if len(p.invitations) > 0 && rapid.IntRange(0, 2).Draw(t, "revoke") == 1 {
		id := p.anyInvitation(t)
		p.inTransactions(t, "revoke", func(tx pgx.Tx) error { return p.real.RevokeInvitationTx(t.Context(), tx, id) },
			func(r *rows) error { return r.revokeInvitation(id) })
		return
	}
	var made, simulated catalog.Invitation
	p.inTransactions(t, "invite", func(tx pgx.Tx) (err error) {
		made, err = p.real.InviteTx(t.Context(), tx, n)
		return err
	}, func(r *rows) error {
		simulated = r.invite(n)
		return nil
	})
	same(t, "the invitation", made.ID, nil, simulated.ID, nil)
	p.invitations = append(p.invitations, made.ID)
}

func (p *pair) anyInvitation(t *rapid.T) uuid.UUID {
	return rapid.SampledFrom(p.invitations).Draw(t, "invitation")
}

// compareNotices compares the invitations and the events of the two.
func (p *pair) compareNotices(t *rapid.T) {
	for _, id := range p.invitations {
		found, err := p.real.Invitation(t.Context(), id)
		simulated, simulatedErr := p.simulated.invitation(id)
		same(t, "invitation in the end", invitationText(found), err, invitationText(simulated), simulatedErr)
	}
	rows, err := p.real.Pool().Query(t.Context(), `
		select type, signup_id, data->>'email' from outbox_events where data ? 'email' order by number`)
	if err != nil {
		t.Fatal(err)
	}
	told, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (m mail, err error) {
		return m, row.Scan(&m.kind, &m.signup, &m.email)
	})
	same(t, "mails", told, err, append([]mail{}, p.simulated.mails...), nil)
}

func invitationText(i catalog.Invitation) string {
	past := i.ExpiresAt.Before(time.Now().Add(time.Minute))
	return fmt.Sprintln(i.ID, pointed(i.TenantID), i.Email, i.Role, i.InvitedBy, past, i.RevokedAt != nil, i.AcceptedAt != nil)
}
