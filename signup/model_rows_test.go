package signup_test

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"homeroom/catalog"
)

// rows is the catalog in memory. Each method does the same as the statement with the same name in package catalog,
// completely or not at all. TestTheSimulatedCatalogIsLikeTheRealOne compares the two.
type rows struct {
	servers []catalog.Server
	tenants []catalog.Tenant // in the order of created_at
	users   []userRow
	signups []catalog.Signup
	jobs    []job
	// unclaimable are the spares that may belong to somebody.
	unclaimable map[uuid.UUID]bool

	invitations []catalog.Invitation
	mails       []mail
}

// userRow is a user with the columns that [catalog.User] does not have.
type userRow struct {
	catalog.User
	state string // unconfirmed, pending or active
}

// job is a job of the queue. It is removed when it is done.
type job struct {
	number  int
	tenant  uuid.UUID // the tenant to reprovision
	archive string
	due     time.Time
}

// clone copies the rows for a transaction, except the servers. Nothing that a row points to is ever changed.
func (r *rows) clone() *rows {
	return &rows{
		servers: r.servers, tenants: slices.Clone(r.tenants), users: slices.Clone(r.users),
		signups: slices.Clone(r.signups), jobs: slices.Clone(r.jobs),
		invitations: slices.Clone(r.invitations), mails: slices.Clone(r.mails), unclaimable: maps.Clone(r.unclaimable),
	}
}

func (r *rows) tenant(id uuid.UUID) *catalog.Tenant {
	for i := range r.tenants {
		if r.tenants[i].ID == id {
			return &r.tenants[i]
		}
	}
	return nil
}

func (r *rows) user(id uuid.UUID) *userRow {
	for i := range r.users {
		if r.users[i].ID == id {
			return &r.users[i]
		}
	}
	return nil
}

func (r *rows) signup(id uuid.UUID) *catalog.Signup {
	for i := range r.signups {
		if r.signups[i].ID == id {
			return &r.signups[i]
		}
	}
	return nil
}

// leased returns the sign-up, if it is under this lease and in one of these statuses; none means every status with a
// lease.
func (r *rows) leased(like catalog.Signup, statuses ...catalog.Status) *catalog.Signup {
	row := r.signup(like.ID)
	switch {
	case row == nil || row.LeaseEpoch != like.LeaseEpoch:
		return nil
	case len(statuses) == 0 && row.CheckAt == nil, len(statuses) > 0 && !slices.Contains(statuses, row.Status):
		return nil
	}
	return row
}

func (r *rows) keyTaken(key string) bool {
	return key != "" && slices.ContainsFunc(r.signups, func(s catalog.Signup) bool {
		return s.IdempotencyKey != nil && *s.IdempotencyKey == key
	})
}

func (r *rows) reserve(want catalog.ReserveParams) (catalog.Reservation, error) {
	t, spare, err := r.tenantFor(&want)
	if err != nil {
		return catalog.Reservation{}, err
	}
	if r.keyTaken(want.IdempotencyKey) {
		return catalog.Reservation{}, catalog.ErrKeyTaken
	}
	if want.IdentityID != "" && (r.identityTaken(want.IdentityID, want.UserID) || r.identityHeld(want.IdentityID)) {
		return catalog.Reservation{}, catalog.ErrIdentityTaken
	}
	if r.emailTaken(want.Email) {
		return catalog.Reservation{}, catalog.ErrEmailTaken
	}
	user, row := newUser(want), newRow(want)
	var answer catalog.Reservation
	if t != nil {
		if want.Kind != catalog.Member {
			r.assignTenant(t, spare, want)
		}
		answer.Tenant, user.TenantID, row.TenantID = *t, t.ID, &t.ID
	}
	r.users, r.signups = append(r.users, user), append(r.signups, row)
	answer.Signup = row
	answer.Signup.IdempotencyKey = nil
	return answer, nil
}

// tenantFor finds the tenant for a reservation, if any, and changes its slug to a free one.
func (r *rows) tenantFor(want *catalog.ReserveParams) (t *catalog.Tenant, spare bool, err error) {
	if want.Waits {
		return nil, false, nil
	}
	if want.Kind == catalog.Member {
		found := r.tenant(want.JoinTenant)
		if found == nil || found.State != catalog.Ready && (found.ResumeState == nil || *found.ResumeState != catalog.Ready) {
			return nil, false, catalog.ErrNotFound
		}
		row := *found
		return &row, false, nil
	}
	if t, spare = r.placeTenant(*want); t == nil {
		return nil, false, catalog.ErrNoCapacity
	}
	if r.slugTaken(want.Slug) {
		if r.keyTaken(want.IdempotencyKey) {
			return nil, false, catalog.ErrKeyTaken
		}
		want.Slug = r.nextSlug(want.Slug)
	}
	return t, spare, nil
}

// newUser and newRow return the rows of a reservation.
func newUser(want catalog.ReserveParams) userRow {
	person := want.Person
	person.Profile = map[string]string{}
	return userRow{state: "pending", User: catalog.User{
		ID: want.UserID, Email: want.Email, Role: cmp.Or(want.Role, "owner"), CreatedAt: time.Now(), IdentityID: want.IdentityID,
		Person: person,
	}}
}

func newRow(want catalog.ReserveParams) catalog.Signup {
	row := catalog.Signup{
		ID: want.SignupID, RequestHash: want.RequestHash, UserID: want.UserID, Email: want.Email, Kind: cmp.Or(want.Kind, catalog.School),
		SchoolName: want.SchoolName, Status: catalog.Pending, Steps: want.Steps, LeaseEpoch: 1, CheckAt: in(want.Lease),
		CreatedAt: time.Now(), InvitationID: want.InvitationID,
	}
	if want.IdentityID != "" {
		row.IdentityID = &want.IdentityID
	}
	if want.IdempotencyKey != "" {
		row.IdempotencyKey = &want.IdempotencyKey
	}
	return row
}

// assignTenant assigns a tenant to a school.
func (r *rows) assignTenant(t *catalog.Tenant, spare bool, want catalog.ReserveParams) {
	t.Name, t.Slug, t.CreatedAt = want.SchoolName, want.Slug, time.Now()
	if spare {
		t.State = catalog.Reserved
		i := slices.IndexFunc(r.tenants, func(row catalog.Tenant) bool { return row.ID == t.ID })
		r.tenants = slices.Delete(r.tenants, i, i+1) // the rows are ordered by created_at
	}
	r.tenants = append(r.tenants, *t)
}

// in returns the time after this duration.
func in(d time.Duration) *time.Time {
	t := time.Now().Add(d)
	return &t
}

// placeTenant finds the oldest spare, or returns the row of a tenant to be built on the server with the most free
// capacity for its weight. It changes nothing.
func (r *rows) placeTenant(want catalog.ReserveParams) (t *catalog.Tenant, spare bool) {
	var servers []catalog.Server
	for _, s := range r.servers {
		if s.Weight > 0 && slices.Contains(want.Servers, s.Name) {
			s.Tenants = r.tenantsOn(s.Name)
			servers = append(servers, s)
		}
	}
	for _, row := range r.tenants {
		if row.State == catalog.Spare && !r.unclaimable[row.ID] && row.Lineage == want.Lineage && row.SchemaVersion >= want.SchemaVersion &&
			slices.ContainsFunc(servers, func(s catalog.Server) bool { return s.Name == row.Server }) {
			return &row, true
		}
	}
	servers = slices.DeleteFunc(servers, func(s catalog.Server) bool { return s.Capacity != nil && s.Tenants >= *s.Capacity })
	if len(servers) == 0 {
		return nil, false
	}
	best := slices.MinFunc(servers, func(a, b catalog.Server) int {
		return cmp.Or(cmp.Compare(float64(a.Tenants)/float64(a.Weight), float64(b.Tenants)/float64(b.Weight)), strings.Compare(a.Name, b.Name))
	})
	return &catalog.Tenant{
		ID: want.TenantID, Server: best.Name, Database: want.Database, Lineage: want.Lineage, State: catalog.Building,
		Steps: json.RawMessage(`[]`),
	}, false
}

func (r *rows) tenantsOn(server string) int {
	n := 0
	for _, t := range r.tenants {
		if t.Server == server && t.State != catalog.Deleted {
			n++
		}
	}
	return n
}

func (r *rows) slugTaken(slug string) bool {
	return slices.ContainsFunc(r.tenants, func(t catalog.Tenant) bool { return t.Slug == slug })
}

var numbered = regexp.MustCompile(`^[0-9]{1,6}$`)

func (r *rows) nextSlug(reservation string) string {
	highest := 1
	for _, t := range r.tenants {
		if rest, ok := strings.CutPrefix(t.Slug, reservation+"-"); ok && numbered.MatchString(rest) {
			n, _ := strconv.Atoi(rest)
			highest = max(highest, n)
		}
	}
	return fmt.Sprintf("%s-%d", reservation, highest+1)
}

func (r *rows) takeOver(id uuid.UUID, lease time.Duration) (catalog.Signup, error) {
	row := r.signup(id)
	if row == nil || row.Status != catalog.Pending && row.Status != catalog.Provisioning || row.CheckAt.After(time.Now()) {
		return catalog.Signup{}, catalog.ErrStateChanged
	}
	row.LeaseEpoch++
	row.CheckAt = in(lease)
	return *row, nil
}

func (r *rows) due(lease time.Duration, limit int) []catalog.Signup {
	now := time.Now()
	var found []*catalog.Signup
	for i := range r.signups {
		if at := r.signups[i].CheckAt; at != nil && !at.After(now) {
			found = append(found, &r.signups[i])
		}
	}
	slices.SortStableFunc(found, func(a, b *catalog.Signup) int { return a.CheckAt.Compare(*b.CheckAt) })
	answer := make([]catalog.Signup, 0, limit)
	for _, row := range found[:min(limit, len(found))] {
		row.LeaseEpoch++
		row.CheckAt = in(lease)
		answer = append(answer, *row)
	}
	return answer
}

// retryLater sets when a worker may take over a sign-up; steps may be nil.
func (r *rows) retryLater(like catalog.Signup, steps json.RawMessage, delay time.Duration) error {
	row := r.leased(like)
	if row == nil {
		return catalog.ErrStateChanged
	}
	row.CheckAt = in(delay)
	if steps != nil {
		row.Steps = steps
	}
	return nil
}

func (r *rows) recordIdentity(like catalog.Signup, identity catalog.Identity, steps json.RawMessage, lease time.Duration) error {
	row := r.leased(like, catalog.Pending, catalog.Provisioning)
	if row == nil || r.user(row.UserID) == nil {
		return catalog.ErrStateChanged
	}
	if r.identityTaken(identity.ID, row.UserID) {
		return catalog.ErrIdentityTaken
	}
	row.Status, row.Steps, row.CheckAt = catalog.Provisioning, steps, in(lease)
	user := r.user(row.UserID)
	user.IdentityID, user.EmailVerified = identity.ID, user.EmailVerified || identity.EmailVerified
	return nil
}

// emailTaken reports whether an e-mail has a user. A person whose e-mail is not confirmed yet is not a user.
func (r *rows) emailTaken(email string) bool {
	_, err := r.findUser(email)
	return err == nil
}

func (r *rows) identityTaken(identity string, by uuid.UUID) bool {
	return slices.ContainsFunc(r.users, func(u userRow) bool { return u.IdentityID == identity && u.ID != by })
}

// identityHeld reports whether a sign-up with this account still has a lease, even an expired one.
func (r *rows) identityHeld(identity string) bool {
	return slices.ContainsFunc(r.signups, func(s catalog.Signup) bool {
		return s.IdentityID != nil && *s.IdentityID == identity && s.CheckAt != nil
	})
}

func (r *rows) finish(like catalog.Signup, identity catalog.Identity, health catalog.Health, steps, result json.RawMessage) error {
	row := r.leased(like, catalog.Pending, catalog.Provisioning)
	if row == nil {
		return catalog.ErrStateChanged
	}
	if row.TenantID == nil {
		return errors.New("an active user belongs to a tenant")
	}
	if r.identityTaken(identity.ID, row.UserID) {
		return catalog.ErrIdentityTaken
	}
	row.Status, row.Result, row.Steps, row.CheckAt, row.FinishedAt = catalog.SignupReady, result, steps, nil, in(0)
	if user := r.user(row.UserID); user != nil {
		user.state, user.IdentityID, user.EmailVerified = "active", identity.ID, user.EmailVerified || identity.EmailVerified
	}
	r.accept(row.InvitationID)
	t := r.tenant(*row.TenantID)
	switch {
	case row.Kind == catalog.Member:
	case t.State == catalog.Quarantined:
		ready := catalog.Ready
		t.ResumeState = &ready
	case t.State == catalog.Reserved, t.State == catalog.Building:
		t.State = catalog.Ready
	default:
		return catalog.ErrStateChanged // the sign-up is ready nevertheless, as it is one statement
	}
	t.SchemaVersion = max(t.SchemaVersion, health.Version)
	if health.Fingerprint != "" {
		t.Fingerprint = &health.Fingerprint
	}
	if t.ReadyAt == nil {
		t.ReadyAt = in(0)
	}
	return nil
}
