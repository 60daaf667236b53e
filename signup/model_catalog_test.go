package signup_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"homeroom/catalog"
	"homeroom/internal/modeltest"
	"homeroom/tenant"
)

// TestTheSimulatedCatalogIsLikeTheRealOne makes the same calls, in any order, on the catalog in Postgres and on the one
// in memory, and compares their answers and their contents at the end. The model's results are valid only if both are
// equal.
func TestTheSimulatedCatalogIsLikeTheRealOne(t *testing.T) {
	t.Parallel()
	b := setup(t, 0)
	if err := b.catalog.RegisterServers(t.Context(), []string{"big", "main", "shut"}); err != nil {
		t.Fatal(err)
	}
	b.exec(t, "update servers set weight = 0 where name = 'shut'")
	b.exec(t, "update servers set weight = 2, capacity = 3 where name = 'big'")
	for range 3 {
		rapid.Check(modeltest.Quiet(t), b.compareCatalogs)
	}
}

// compareCatalogs makes some calls.
func (b *bundle) compareCatalogs(t *rapid.T) {
	if _, err := b.catalog.Pool().Exec(t.Context(), "delete from signups; delete from users; delete from invitations; delete from tenants; delete from outbox_events"); err != nil {
		t.Fatal(err)
	}
	three := 3
	p := &pair{real: b.catalog, simulated: &rows{servers: []catalog.Server{
		{Name: "big", Weight: 2, Capacity: &three}, {Name: "main", Weight: 1}, {Name: "shut"},
	}}}
	for range rapid.IntRange(5, 40).Draw(t, "calls") {
		rapid.SampledFrom(pairCalls).Draw(t, "call")(p, t)
	}
	p.compareRows(t)
}

// pair is the real catalog, the simulated one, and the rows that both have.
type pair struct {
	real      *catalog.Store
	simulated *rows
	signups   []catalog.Signup // as they were last reserved or taken over
	tenants   []uuid.UUID
	ids       byte

	invitations []uuid.UUID
}

// newID returns a new id, which is the same each time a run is repeated.
func (p *pair) newID() uuid.UUID {
	p.ids++
	return uuid.UUID{6: 0x70, 8: 0x80, 15: p.ids}
}

// pairCalls are the calls to choose from. Those that create something occur more often.
var pairCalls = []func(p *pair, t *rapid.T){
	(*pair).reserve, (*pair).reserve, (*pair).reserve, (*pair).insertSpare, (*pair).insertSpare, (*pair).markSpareBuilt, (*pair).markSpareBuilt,
	(*pair).replaceTenant, (*pair).replaceTenant, (*pair).deleteSpare,
	(*pair).take, (*pair).take, (*pair).due, (*pair).hold, (*pair).hold, (*pair).recordIdentity, (*pair).finish, (*pair).finish,
	(*pair).endSignup, (*pair).endSignup, (*pair).endSignup, (*pair).changeTenant, (*pair).changeTenant, (*pair).changeTenant,
	(*pair).find, (*pair).count,
	(*pair).reserveUnconfirmed, (*pair).reserveUnconfirmed, (*pair).wait, (*pair).wait, (*pair).admit, (*pair).admit, (*pair).signupByIdentity, (*pair).expireTx, (*pair).invite,
}

// same compares the answers of the two.
func same(t *rapid.T, what string, actual any, actualErr error, simulated any, simulatedErr error) {
	facts := []error{
		catalog.ErrNotFound, catalog.ErrEmailTaken, catalog.ErrIdentityTaken, catalog.ErrKeyTaken, catalog.ErrNoCapacity, catalog.ErrStateChanged,
	}
	for _, fact := range facts {
		if errors.Is(actualErr, fact) != errors.Is(simulatedErr, fact) {
			t.Fatalf("%s: the real one returns %v, the simulated one %v", what, actualErr, simulatedErr)
		}
	}
	if (actualErr == nil) != (simulatedErr == nil) || actualErr == nil && text(actual) != text(simulated) {
		t.Fatalf("%s:\nthe real one answers      %s, %v\nthe simulated one answers %s, %v", what, text(actual), actualErr, text(simulated), simulatedErr)
	}
}

// text describes the part of an answer that must be equal. Of a time it says only whether it is past, near or far.
func text(v any) string {
	when := func(at *time.Time) string {
		switch {
		case at == nil:
			return "never"
		case at.After(time.Now().Add(time.Minute)):
			return "later"
		}
		return "now"
	}
	switch v := v.(type) {
	case catalog.Signup:
		return fmt.Sprintln(v.ID, pointed(v.IdempotencyKey), string(v.RequestHash), v.UserID, pointed(v.TenantID), v.Email, v.SchoolName,
			v.Status, plain(v.Steps), plain(v.Result), plain(v.Problem), v.LeaseEpoch, when(v.CheckAt), when(v.FinishedAt),
			v.Kind, pointed(v.IdentityID), pointed(v.InvitationID))
	case catalog.Tenant:
		v.CreatedAt = time.Time{}
		return fmt.Sprintln(v.ID, v.Server, v.Database, v.State, v.Name, v.Slug, v.Lineage, v.SchemaVersion, v.PasswordRotation,
			pointed(v.Fingerprint), pointed(v.QuarantineCause), pointed(v.QuarantineKind), pointed(v.ResumeState), plain(v.Steps), when(v.ReadyAt))
	case catalog.User:
		v.CreatedAt = time.Time{}
		return fmt.Sprintln(v)
	case catalog.Reservation:
		return text(v.Signup) + text(v.Tenant)
	case []catalog.Signup:
		var lines []string
		for _, s := range v {
			lines = append(lines, text(s))
		}
		slices.Sort(lines) // the order is undefined
		return strings.Join(lines, "")
	}
	return fmt.Sprint(v)
}

func pointed[T any](p *T) string {
	if p == nil {
		return "null"
	}
	return fmt.Sprint(*p)
}

// plain returns JSON as Postgres writes it.
func plain(text json.RawMessage) string {
	return strings.ReplaceAll(string(text), " ", "")
}

// compareRows compares the contents of the two.
func (p *pair) compareRows(t *rapid.T) {
	ctx := t.Context()
	for _, s := range p.signups {
		row, err := p.real.Signup(ctx, s.ID)
		same(t, "sign-up in the end", row, err, *p.simulated.signup(s.ID), nil)
		p.sameUser(t, s.UserID)
	}
	for _, id := range p.tenants {
		row, err := p.real.TenantByID(ctx, id)
		simulated, simulatedErr := catalog.Tenant{}, catalog.ErrNotFound
		if found := p.simulated.tenant(id); found != nil {
			simulated, simulatedErr = *found, nil
		}
		same(t, "tenant in the end", row, err, simulated, simulatedErr)
	}
	p.compareNotices(t)
	var signups, tenants, users int
	err := p.real.Pool().QueryRow(ctx, "select (select count(*) from signups), (select count(*) from tenants), (select count(*) from users)").
		Scan(&signups, &tenants, &users)
	same(t, "numbers of rows", []int{signups, tenants, users}, err,
		[]int{len(p.simulated.signups), len(p.simulated.tenants), len(p.simulated.users)}, nil)
}

func (p *pair) sameUser(t *rapid.T, id uuid.UUID) {
	var state string
	user, err := p.real.UserByID(t.Context(), id)
	if err == nil {
		err = p.real.Pool().QueryRow(t.Context(), "select state from users where id = $1", id).Scan(&state)
	}
	if found := p.simulated.user(id); found != nil {
		same(t, "user in the end", user, err, found.User, nil)
		same(t, "the user's state", state, nil, found.state, nil)
	} else {
		same(t, "user in the end", user, err, nil, catalog.ErrNotFound)
	}
}

// lease draws a lease that ends at once, or one that does not end.
var lease = rapid.SampledFrom([]time.Duration{0, time.Hour})

func (p *pair) reserve(t *rapid.T) {
	want := p.reservation(t)
	p.chooseEntryPoint(t, &want)
	held, err := p.real.Reserve(t.Context(), want)
	simulated, simulatedErr := p.simulated.reserve(want)
	same(t, "reserve", held, err, simulated, simulatedErr)
	if err == nil {
		p.signups = append(p.signups, held.Signup)
		if !want.Waits {
			p.tenants = append(p.tenants, held.Tenant.ID)
		}
	}
}

func (p *pair) insertSpare(t *rapid.T) {
	id := tenant.ID(p.newID())
	if len(p.tenants) > 0 && rapid.IntRange(0, 5).Draw(t, "twice") == 1 {
		id = tenant.ID(p.anyTenant(t))
	}
	server := rapid.SampledFrom([]string{"main", "big"}).Draw(t, "server")
	spare := catalog.NewSpare{ID: id.UUID(), Server: server, Database: id.Database(), Lineage: "lunch"}
	same(t, "insert spare", nil, p.real.InsertSpare(t.Context(), spare), nil, p.simulated.insertSpare(spare))
	p.tenants = append(p.tenants, spare.ID)
}

func (p *pair) anyTenant(t *rapid.T) uuid.UUID {
	if len(p.tenants) == 0 {
		return p.newID()
	}
	return rapid.SampledFrom(p.tenants).Draw(t, "tenant")
}

// anySignup draws a sign-up that a worker has had, with its last known lease or an earlier one.
func (p *pair) anySignup(t *rapid.T) (row *catalog.Signup) {
	if len(p.signups) == 0 {
		return &catalog.Signup{ID: p.newID(), LeaseEpoch: 1}
	}
	row = &p.signups[rapid.IntRange(0, len(p.signups)-1).Draw(t, "sign-up")]
	if rapid.IntRange(0, 5).Draw(t, "late") == 1 {
		late := *row
		late.LeaseEpoch--
		return &late
	}
	return row
}

func (p *pair) markSpareBuilt(t *rapid.T) {
	id, health, steps := p.anyTenant(t), anyHealth(t), json.RawMessage(`[1]`)
	same(t, "spare built", nil, p.real.MarkSpareBuilt(t.Context(), id, health, steps), nil, p.simulated.markSpareBuilt(id, health, steps))
}

func (p *pair) replaceTenant(t *rapid.T) {
	row, want := p.anySignup(t), p.reservation(t)
	found, err := p.real.ReplaceTenant(t.Context(), *row, want)
	simulated, simulatedErr := p.simulated.replaceTenant(*row, want)
	same(t, "replace tenant", found, err, simulated, simulatedErr)
	if err == nil {
		row.TenantID = &found.ID
		p.tenants = append(p.tenants, found.ID)
	}
}

func (p *pair) deleteSpare(t *rapid.T) {
	id := p.anyTenant(t)
	same(t, "delete spare", nil, p.real.DeleteSpare(t.Context(), id), nil, p.simulated.deleteSpare(id))
}

func anyHealth(t *rapid.T) catalog.Health {
	return catalog.Health{
		Version:     rapid.SampledFrom([]uint{3, 3, 2, 4}).Draw(t, "version"),
		Fingerprint: rapid.SampledFrom([]string{"", "abc"}).Draw(t, "fingerprint"),
	}
}

func (p *pair) take(t *rapid.T) {
	row, lease := p.anySignup(t), lease.Draw(t, "lease")
	taken, err := p.real.TakeOver(t.Context(), row.ID, lease)
	simulated, simulatedErr := p.simulated.takeOver(row.ID, lease)
	same(t, "take over", taken, err, simulated, simulatedErr)
	if err == nil {
		*row = taken
	}
}

func (p *pair) due(t *rapid.T) {
	limit := rapid.IntRange(1, 4).Draw(t, "limit")
	taken, err := p.real.Due(t.Context(), time.Hour, limit)
	same(t, "due", taken, err, p.simulated.due(time.Hour, limit), nil)
	for _, row := range taken {
		i := slices.IndexFunc(p.signups, func(s catalog.Signup) bool { return s.ID == row.ID })
		p.signups[i] = row
	}
}

// hold renews or releases a sign-up.
func (p *pair) hold(t *rapid.T) {
	row, lease := *p.anySignup(t), lease.Draw(t, "lease")
	if rapid.Bool().Draw(t, "renew") {
		same(t, "renew", nil, p.real.Renew(t.Context(), row, lease), nil, p.simulated.retryLater(row, nil, lease))
		return
	}
	steps := json.RawMessage(`[2]`)
	same(t, "retry later", nil, p.real.RetryLater(t.Context(), row, steps, lease), nil, p.simulated.retryLater(row, steps, lease))
}

var anyIdentity = rapid.SampledFrom([]catalog.Identity{{ID: "sim|1"}, {ID: "sim|2", EmailVerified: true}, {ID: "sim|3"}})

func (p *pair) recordIdentity(t *rapid.T) {
	row, identity, lease, steps := *p.anySignup(t), anyIdentity.Draw(t, "identity"), lease.Draw(t, "lease"), json.RawMessage(`[3]`)
	same(t, "identity made", nil, p.real.RecordIdentity(t.Context(), row, identity, steps, lease),
		nil, p.simulated.recordIdentity(row, identity, steps, lease))
}

func (p *pair) finish(t *rapid.T) {
	row, identity, health := *p.anySignup(t), anyIdentity.Draw(t, "identity"), anyHealth(t)
	steps, result := json.RawMessage(`[4]`), json.RawMessage(`{"a":1}`)
	same(t, "finish", nil, p.real.Finish(t.Context(), row, identity, health, steps, result),
		nil, p.simulated.finish(row, identity, health, steps, result))
}

// endSignup ends a sign-up without a school.
func (p *pair) endSignup(t *rapid.T) {
	ctx, row, steps, problem := t.Context(), *p.anySignup(t), json.RawMessage(`[5]`), json.RawMessage(`{"code":"x"}`)
	switch rapid.IntRange(0, 4).Draw(t, "way") {
	case 0:
		same(t, "undo", nil, p.real.Undo(ctx, row, steps, problem), nil, p.simulated.undo(row, steps, problem))
	case 1:
		delay := lease.Draw(t, "delay")
		same(t, "expire", nil, p.real.Expire(ctx, row, steps, problem, delay), nil, p.simulated.expire(row, steps, problem, delay))
	case 2:
		same(t, "looked again", nil, p.real.RecheckDone(ctx, row), nil, p.simulated.recheckDone(row))
	case 3:
		if rapid.Bool().Draw(t, "really") {
			same(t, "needs operator", nil, p.real.NeedsOperator(ctx, row, steps, problem), nil, p.simulated.needsOperator(row, steps, problem))
		}
	case 4:
		lease, resumed := lease.Draw(t, "lease"), catalog.Signup{}
		err := p.real.InTx(ctx, func(tx pgx.Tx) (err error) {
			resumed, err = p.real.ResumeTx(ctx, tx, row, lease)
			return err
		})
		simulated, simulatedErr := p.simulated.resume(row, lease)
		same(t, "resume", resumed, err, simulated, simulatedErr)
		if err == nil {
			i := slices.IndexFunc(p.signups, func(s catalog.Signup) bool { return s.ID == row.ID })
			p.signups[i] = resumed
		}
	}
}

func (p *pair) changeTenant(t *rapid.T) {
	ctx, id, steps := t.Context(), p.anyTenant(t), json.RawMessage(`[6]`)
	switch rapid.IntRange(0, 4).Draw(t, "change") {
	case 0:
		health := anyHealth(t)
		same(t, "healthy", nil, p.real.MarkHealthy(ctx, id, health), nil, p.simulated.markHealthy(id, health))
	case 1:
		same(t, "set steps", nil, p.real.SetSteps(ctx, id, steps), nil, p.simulated.setSteps(id, steps))
	default:
		err := p.real.Quarantine(ctx, id, catalog.DatabaseUnusable, "cause")
		same(t, "quarantine", nil, err, nil, p.simulated.quarantine(id, catalog.DatabaseUnusable, "cause"))
	}
}

func (p *pair) find(t *rapid.T) {
	email := fmt.Sprintf("ada%d@lincoln.example", rapid.IntRange(1, 4).Draw(t, "school"))
	user, err := p.real.UserByEmail(t.Context(), email)
	simulated, simulatedErr := p.simulated.findUser(email)
	same(t, "user by e-mail", user, err, simulated, simulatedErr)
	name := rapid.SampledFrom([]string{"lincoln-high", "lincoln-high-2", p.anyTenant(t).String()}).Draw(t, "name")
	found, err := p.real.Tenant(t.Context(), name)
	simulatedTenant, simulatedErr := p.simulated.findTenant(name)
	same(t, "tenant", found, err, simulatedTenant, simulatedErr)
}

func (p *pair) count(t *rapid.T) {
	ctx, limit := t.Context(), rapid.IntRange(0, 3).Draw(t, "limit")
	for _, server := range []string{"main", "big", "shut", "unknown"} {
		stock, err := p.real.Stock(ctx, server, "lunch", 3)
		simulatedStock := p.simulated.count(server, "lunch", 3)
		stock.SinceLastSignup, simulatedStock.SinceLastSignup = 0, 0 // each has its own clock
		same(t, "stock", stock, err, simulatedStock, nil)
		discardable, err := p.real.DiscardableSpares(ctx, server, "lunch")
		same(t, "discardable spares", len(discardable), err, len(p.simulated.discardable(server, "lunch")), nil)
		room, err := p.real.FreeCapacity(ctx, server, limit)
		simulated, simulatedErr := p.simulated.room(server, limit)
		same(t, "room", room, err, simulated, simulatedErr)
	}
}
