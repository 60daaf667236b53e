package signup_test

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"homeroom/catalog"
)

// How the rows end a sign-up, and what that does to tenants.

func (r *rows) undo(like catalog.Signup, steps, problem json.RawMessage) error {
	row := r.leased(like, catalog.Pending)
	if row == nil {
		return catalog.ErrStateChanged
	}
	r.removeUser(row.UserID)
	r.freeTenant(row.TenantID)
	row.Status, row.Steps, row.Problem, row.CheckAt, row.FinishedAt = catalog.Failed, steps, problem, nil, in(0)
	row.IdempotencyKey, row.TenantID = nil, nil
	return nil
}

func (r *rows) removeUser(id uuid.UUID) {
	r.users = slices.DeleteFunc(r.users, func(u userRow) bool { return u.ID == id })
}

func (r *rows) freeTenant(id *uuid.UUID) {
	if id == nil {
		return
	}
	t := r.tenant(*id)
	if t == nil {
		return
	}
	switch {
	case t.State == catalog.Reserved:
		t.State, t.Name, t.Slug = catalog.Spare, "", ""
	case t.State == catalog.Quarantined && *t.ResumeState == catalog.Reserved:
		spare := catalog.Spare
		t.ResumeState, t.Name, t.Slug = &spare, "", ""
	case t.State == catalog.Building:
		r.tenants = slices.DeleteFunc(r.tenants, func(t catalog.Tenant) bool { return t.ID == *id })
	}
}

func (r *rows) expire(like catalog.Signup, steps, problem json.RawMessage, delay time.Duration) error {
	row := r.leased(like, catalog.Pending, catalog.AwaitingVerification, catalog.AwaitingApproval, catalog.NeedsOperator)
	if row == nil {
		return catalog.ErrStateChanged
	}
	r.removeUser(row.UserID)
	if row.TenantID != nil && row.Kind == catalog.School {
		if t := r.tenant(*row.TenantID); t != nil {
			t.Slug = "expired-" + row.ID.String()
			if row.Status == catalog.NeedsOperator {
				r.makeUnclaimable(t.ID)
			}
		}
	}
	row.Status, row.Steps, row.Problem, row.CheckAt, row.FinishedAt = catalog.Expired, steps, problem, in(delay), in(0)
	row.IdempotencyKey = nil
	return nil
}

func (r *rows) recheckDone(like catalog.Signup) error {
	row := r.leased(like, catalog.Expired)
	if row == nil {
		return catalog.ErrStateChanged
	}
	if t := r.tenantOf(row); t != nil && t.State == catalog.Building {
		t.Name, t.Slug = "", ""
	} else {
		r.freeTenant(row.TenantID)
	}
	row.CheckAt, row.TenantID = nil, nil
	return nil
}

func (r *rows) tenantOf(row *catalog.Signup) *catalog.Tenant {
	if row.TenantID == nil {
		return nil
	}
	return r.tenant(*row.TenantID)
}

// makeUnclaimable records that no school gets the tenant any more.
func (r *rows) makeUnclaimable(id uuid.UUID) {
	if r.unclaimable == nil {
		r.unclaimable = map[uuid.UUID]bool{}
	}
	r.unclaimable[id] = true
}

func (r *rows) needsOperator(like catalog.Signup, steps, problem json.RawMessage) error {
	row := r.leased(like)
	if row == nil {
		return catalog.ErrStateChanged
	}
	row.Status, row.Steps, row.Problem, row.CheckAt = catalog.NeedsOperator, steps, problem, nil
	return nil
}

func (r *rows) resume(like catalog.Signup, lease time.Duration) (catalog.Signup, error) {
	row := r.leased(like, catalog.NeedsOperator)
	if row == nil || r.user(like.UserID) == nil {
		return catalog.Signup{}, catalog.ErrStateChanged
	}
	taken := row.IdentityID != nil && slices.ContainsFunc(r.signups, func(s catalog.Signup) bool {
		return s.ID != row.ID && s.CheckAt != nil && s.IdentityID != nil && *s.IdentityID == *row.IdentityID
	})
	if taken {
		return catalog.Signup{}, catalog.ErrIdentityTaken
	}
	row.Status = catalog.Pending
	if row.IdentityID == nil && row.TenantID != nil && r.user(like.UserID).IdentityID != "" {
		row.Status = catalog.Provisioning
	}
	row.Problem, row.CheckAt = nil, in(lease)
	row.LeaseEpoch++
	return *row, nil
}

func (r *rows) findTenant(idSlugOrDatabase string) (catalog.Tenant, error) {
	id, err := uuid.Parse(idSlugOrDatabase)
	for _, t := range r.tenants {
		if err == nil && t.ID == id || err != nil && (t.Slug == idSlugOrDatabase || t.Database == idSlugOrDatabase) {
			return t, nil
		}
	}
	return catalog.Tenant{}, catalog.ErrNotFound
}

func (r *rows) setSteps(id uuid.UUID, steps json.RawMessage) error {
	t := r.tenant(id)
	if t == nil {
		return catalog.ErrStateChanged
	}
	t.Steps = steps
	return nil
}

func (r *rows) markHealthy(id uuid.UUID, health catalog.Health) error {
	t := r.tenant(id)
	if t == nil || t.State == catalog.Deleted {
		return catalog.ErrStateChanged
	}
	t.SchemaVersion = health.Version
	if health.Fingerprint != "" {
		t.Fingerprint = &health.Fingerprint
	}
	if t.ResumeState != nil {
		t.State = *t.ResumeState
	}
	t.ResumeState, t.QuarantineCause, t.QuarantineKind = nil, nil, nil
	return nil
}

func (r *rows) quarantine(id uuid.UUID, kind catalog.QuarantineKind, cause string) error {
	t := r.tenant(id)
	if t == nil || t.State == catalog.Deleted {
		return catalog.ErrStateChanged
	}
	if t.ResumeState == nil {
		state := t.State
		t.ResumeState = &state
	}
	t.State, t.QuarantineKind, t.QuarantineCause = catalog.Quarantined, &kind, &cause
	return nil
}

// discardable returns the spares of a server that cannot be claimed.
func (r *rows) discardable(server, lineage string) []catalog.Tenant {
	return slices.DeleteFunc(slices.Clone(r.tenants), func(t catalog.Tenant) bool {
		return t.Server != server || t.Lineage != lineage || !r.canDiscard(t)
	})
}

func (r *rows) canDiscard(t catalog.Tenant) bool {
	return t.Name == "" && (t.State == catalog.Building || t.State == catalog.Spare && r.unclaimable[t.ID])
}

func (r *rows) deleteSpare(id uuid.UUID) error {
	t := r.tenant(id)
	if t == nil || !r.canDiscard(*t) {
		return catalog.ErrStateChanged
	}
	r.tenants = slices.DeleteFunc(r.tenants, func(t catalog.Tenant) bool { return t.ID == id })
	return nil
}

func (r *rows) replaceTenant(like catalog.Signup, want catalog.ReserveParams) (catalog.Tenant, error) {
	row := r.leased(like, catalog.Pending, catalog.Provisioning)
	if row == nil || row.TenantID == nil || like.TenantID == nil || *row.TenantID != *like.TenantID {
		return catalog.Tenant{}, catalog.ErrStateChanged
	}
	former := r.tenant(*row.TenantID)
	if former == nil || former.State != catalog.Reserved {
		return catalog.Tenant{}, catalog.ErrStateChanged
	}
	after := r.clone()
	former = after.tenant(former.ID)
	former.State, former.Name, former.Slug = catalog.Spare, "", ""
	if after.unclaimable == nil {
		after.unclaimable = map[uuid.UUID]bool{}
	}
	after.unclaimable[former.ID] = true
	if after.slugTaken(want.Slug) { // the next one is chosen after the first attempt was rolled back
		want.Slug = r.nextSlug(want.Slug)
	}
	t, spare, err := after.tenantFor(&want)
	if err != nil {
		return catalog.Tenant{}, err
	}
	after.assignTenant(t, spare, want)
	id := t.ID
	after.signup(row.ID).TenantID, after.user(row.UserID).TenantID = &id, id
	*r = *after
	return *r.tenant(id), nil
}

// stock returns the tenants of a server without a school in this state, of this lineage, at this version or a newer
// one.
func (r *rows) stock(server, lineage string, state catalog.State, version uint) []catalog.Tenant {
	var found []catalog.Tenant
	for _, t := range r.tenants {
		if t.Server == server && t.Lineage == lineage && t.State == state && t.Name == "" && t.SchemaVersion >= version && !r.unclaimable[t.ID] {
			found = append(found, t)
		}
	}
	return found
}

// count counts the spares of a server.
func (r *rows) count(server, lineage string, version uint) catalog.Stock {
	const day = 24 * time.Hour
	found := catalog.Stock{
		Ready: len(r.stock(server, lineage, catalog.Spare, version)), Discardable: len(r.discardable(server, lineage)), SinceLastSignup: day,
	}
	for _, t := range r.discardable(server, lineage) {
		if t.State == catalog.Building && time.Since(t.CreatedAt) < 10*time.Minute && !strings.Contains(string(t.Steps), `"discard"`) {
			found.Begun++
		}
	}
	for _, t := range r.tenants {
		if t.Name == "" {
			continue
		}
		found.SinceLastSignup = min(found.SinceLastSignup, time.Since(t.CreatedAt))
		if t.State == catalog.Building && t.Server == server && time.Since(t.CreatedAt) < 30*time.Second {
			found.Waiting++
		}
	}
	return found
}

func (r *rows) room(server string, limit int) (int, error) {
	for _, s := range r.servers {
		switch {
		case s.Name != server:
		case s.Weight == 0:
			return 0, nil
		case s.Capacity == nil:
			return limit, nil
		default:
			return max(0, min(limit, *s.Capacity-r.tenantsOn(server))), nil
		}
	}
	return 0, catalog.ErrNotFound
}

func (r *rows) insertSpare(spare catalog.NewSpare) error {
	for _, t := range r.tenants {
		if t.ID == spare.ID || t.Database == spare.Database {
			return catalog.ErrStateChanged
		}
	}
	r.tenants = append(r.tenants, catalog.Tenant{
		ID: spare.ID, Server: spare.Server, Database: spare.Database, Lineage: spare.Lineage, State: catalog.Building,
		Steps: json.RawMessage(`[]`), CreatedAt: time.Now(),
	})
	return nil
}

func (r *rows) markSpareBuilt(id uuid.UUID, health catalog.Health, steps json.RawMessage) error {
	t := r.tenant(id)
	if t == nil || t.State != catalog.Building || t.Name != "" {
		return catalog.ErrStateChanged
	}
	t.State, t.SchemaVersion, t.Steps, t.Fingerprint = catalog.Spare, health.Version, steps, nil
	if health.Fingerprint != "" {
		t.Fingerprint = &health.Fingerprint
	}
	return nil
}

// findUser finds the user with this normalised e-mail. A person whose e-mail is not confirmed yet is not a user.
func (r *rows) findUser(email string) (catalog.User, error) {
	for _, u := range r.users {
		if strings.EqualFold(u.Email, email) && u.state != "unconfirmed" {
			return u.User, nil
		}
	}
	return catalog.User{}, catalog.ErrNotFound
}
