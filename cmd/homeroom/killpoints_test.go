package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"homeroom/auth0/auth0test"
	"homeroom/catalog"
	"homeroom/internal/devpg"
	"homeroom/internal/pgtest"
	"homeroom/tenant"
)

// crash is a kill point, and how a process is led there.
type crash struct {
	point  string
	spares int
	// first is where a process died before, at a sign-up that was posted to it.
	first string
	// provoke leads the victim to the point; nil posts the school, as often as a client would. It need not wait for the end.
	provoke func(t *testing.T, w *world, victim *process, s school)
	// slow victims run at the tempo of production.
	slow bool
	// wired victims reach the tenants' server through a wire that can be cut.
	wired bool
	// between is done before the survivor starts.
	between func(t *testing.T, w *world)
	// mend is what comes then; nil has the client repeat its sign-up until it has its school.
	mend func(t *testing.T, w *world, survivor *process, s school)
}

// crashes are the sign-ups, spares and re-provisionings; preparations and migrations have tables of their own below.
var crashes = []crash{
	{point: "signup.reserved", spares: 1},
	{point: "signup.identity_wanted", spares: 1},
	{point: "signup.identity_made", spares: 1},
	{point: "signup.before_finish", spares: 1},
	{point: "signup.finished", spares: 1},
	{point: "signup.reserved"},
	{point: "signup.identity_made"},
	{point: "signup.identity_recorded"},
	{point: "tenant.database_wanted"},
	{point: "tenant.database_created"},
	{point: "tenant.opened"},
	{point: "signup.before_finish"},
	{point: "signup.finished"},

	{point: "signup.taken_over", spares: 1, first: "signup.reserved", provoke: endLease, slow: true},
	{point: "signup.identity_made", first: "signup.reserved", provoke: endLease, slow: true},
	{point: "reconcile.taken_over", spares: 1, first: "signup.identity_made", provoke: nothing},
	{point: "reconcile.expired", spares: 1, first: "signup.reserved", provoke: nothing},
	{point: "reconcile.identity_recorded", first: "signup.identity_made", provoke: nothing},
	{point: "signup.finished", first: "signup.identity_recorded", provoke: nothing},

	{point: "signup.refused", spares: 1, provoke: weakly},
	{point: "signup.undone", spares: 1, provoke: weakly},
	{point: "signup.refused_in_doubt", spares: 1, provoke: weaklyInDoubt},
	{point: "signup.given_back", spares: 1, provoke: unanswered},
	{point: "signup.rested", provoke: unreachable, wired: true},
	{point: "signup.parked", spares: 1, first: "signup.identity_made", provoke: nothing, mend: parked},
	{point: "signup.late_identity_removed", spares: 1, provoke: expiredMeanwhile, slow: true},
	{point: "signup.leftover_removed", spares: 1, first: "signup.reserved", provoke: leftover},
	{point: "reconcile.identity_removed", spares: 1, first: "signup.reserved", provoke: lateIdentity, mend: forgotten},
	{point: "reconcile.closed", spares: 1, first: "signup.reserved", provoke: lateIdentity, mend: forgotten},

	{point: "spare.inserted", spares: 2, provoke: nothing, mend: nothing},
	{point: "tenant.database_wanted", spares: 2, provoke: nothing, mend: nothing},
	{point: "tenant.database_created", spares: 2, provoke: nothing, mend: nothing},
	{point: "tenant.opened", spares: 2, provoke: nothing, mend: nothing},
	{point: "spare.built", spares: 2, provoke: nothing, mend: nothing},
	{point: "spare.marked", spares: 2, provoke: nothing, mend: nothing},

	{point: "reprovision.accepted", provoke: reprovision(plain, nil)},
	{point: "reprovision.begun", provoke: reprovision(plain, nil)},
	{point: "reprovision.ensured", provoke: reprovision(plain, nil)},
	{point: "reprovision.healthy", provoke: reprovision(plain, nil)},
	{point: "reprovision.quarantined", provoke: reprovision(plain, foreign), between: ours},
	{point: "tenant.migrated", provoke: reprovision(plain, nil)},
	{point: "tenant.granted", provoke: reprovision(plain, ungranted)},
	{point: "tenant.owner_restored", provoke: reprovision(plain, taken)},
	{point: "tenant.invalid_dropped", provoke: reprovision(plain, invalidUnmarked)},
	{point: "tenant.opened", provoke: reprovision(plain, dropped)},
	{point: "reprovision.accepted", provoke: reprovision(fresh, nil)},
	{point: "reprovision.begun", provoke: reprovision(fresh, nil)},
	{point: "tenant.set_aside_closed", provoke: reprovision(fresh, nil)},
	{point: "tenant.set_aside_emptied", provoke: reprovision(fresh, nil)},
	{point: "tenant.set_aside_renamed", provoke: reprovision(fresh, nil)},
	{point: "tenant.set_aside_dropped", provoke: reprovision(fresh, invalid)},
	{point: "reprovision.set_aside", provoke: reprovision(fresh, nil)},
	{point: "tenant.database_created", provoke: reprovision(fresh, nil)},
	{point: "tenant.opened", provoke: reprovision(fresh, nil)},
	{point: "reprovision.ensured", provoke: reprovision(fresh, nil)},
	{point: "reprovision.healthy", provoke: reprovision(fresh, nil)},
}

// preparations are the points on the way to a server's first tenant, in their order.
var preparations = []string{
	"server.role_created", "server.owner_joined", "server.role_created", "server.closed", "template.dropped", "template.created",
	"template.unmarked", "migrations.before_file", "migrations.file_committed", "template.filled", "template.described", "template.altered:1",
	"template.altered:2",
}

// lanes is how many worlds work on the crashes with as many spares, one after the other in each.
var lanes = map[int]int{0: 3, 1: 2, 2: 1}

// TestKilledAtEveryStep kills the real process at every step of a sign-up, of building a spare and of a re-provisioning,
// starts another, and looks at what is left.
func TestKilledAtEveryStep(t *testing.T) {
	t.Parallel()
	for spares, n := range lanes {
		for lane := range n {
			t.Run(fmt.Sprintf("with %d spares, lane %d", spares, lane), func(t *testing.T) {
				t.Parallel()
				postgres := pgtest.Private(t, nil)
				w := newWorld(t, postgres.URL("catalog"), postgres.URL("postgres"), spares)
				w.start(t).stopWhen(t, w)
				number := 0
				for i, c := range crashes {
					if c.spares != spares {
						continue
					}
					if number++; number%n == lane {
						t.Run(c.String(), func(t *testing.T) { c.run(t, w, newSchool(i)) })
					}
				}
				auditServer(t, postgres.URL("postgres"), w.known(t))
			})
		}
	}
}

// stopWhen kills the process once the stock is full.
func (p *process) stopWhen(t *testing.T, w *world) {
	t.Helper()
	w.settled(t)
	p.kill()
}

// String tells the cases apart.
func (c crash) String() string {
	name := c.point
	if c.first != "" {
		name += " after " + c.first
	}
	return name
}

// run dies at the point, and mends.
func (c crash) run(t *testing.T, w *world, s school) {
	t.Helper()
	c.die(t, w, s)
	survivor := w.start(t)
	c.recover(t, w, survivor, s)
}

// die leads a process to the point.
func (c crash) die(t *testing.T, w *world, s school) {
	t.Helper()
	if c.provoke == nil {
		c.provoke = posts
	}
	var tempo []string
	if c.slow {
		tempo = []string{"HOMEROOM_HASTE=1"}
	}
	if c.first != "" {
		victim := w.start(t, slices.Concat(tempo, []string{"HOMEROOM_KILL_AT=" + c.first})...)
		posts(t, w, victim, s)
		victim.waitDead(t)
		if c.point == "signup.parked" {
			w.rewrite(t, s, uuid.NewString())
		}
	}
	if c.spares == 2 {
		w.spares += 2 // the stock is full, and the point is on the way to more
	}
	var url string
	if c.wired {
		w.serverWire, url = newWire(t, w.serverURL)
		tempo = append(tempo, "HOMEROOM_SERVER_MAIN_URL="+url)
	}
	victim := w.start(t, slices.Concat(tempo, []string{"HOMEROOM_KILL_AT=" + c.point})...)
	c.provoke(t, w, victim, s)
	victim.waitDead(t)
	if c.slow { // and so was its lease
		w.exec(t, "update signups set check_at = least(check_at, now() + interval '3 s') where email = $1", s.Email)
	}
	if c.between != nil {
		c.between(t, w)
	}
}

// recover waits until everything is mended, and looks whether it is.
func (c crash) recover(t *testing.T, w *world, survivor *process, s school) {
	t.Helper()
	if c.mend == nil {
		c.mend = comesBack
	}
	c.mend(t, w, survivor, s)
	w.settled(t)
	w.audit(t)
	survivor.kill()
}

// comesBack is the client, who has its school in the end.
func comesBack(t *testing.T, w *world, survivor *process, s school) {
	t.Helper()
	w.settled(t) // without the client
	s.mustSucceed(t, survivor.url)
}

// forgotten: the late identity goes away before the client comes back.
func forgotten(t *testing.T, w *world, survivor *process, s school) {
	t.Helper()
	eventually(t, "the end of the late identity", func() (bool, error) {
		return !slices.ContainsFunc(w.auth0.Users(), func(u auth0test.User) bool { return u.Email == s.Email }), nil
	})
	comesBack(t, w, survivor, s)
}

// nothing: the victim gets there by itself.
func nothing(*testing.T, *world, *process, school) {}

// posts repeats the sign-up until the process is dead.
func posts(t *testing.T, _ *world, victim *process, s school) {
	t.Helper()
	eventually(t, "the death of the process", func() (bool, error) {
		select {
		case <-victim.done:
			return true, nil
		default:
		}
		status, body, err := s.post(t.Context(), victim.url)
		if err == nil && status != http.StatusAccepted && status != http.StatusConflict && status != http.StatusServiceUnavailable {
			t.Fatalf("answered %d %s", status, body)
		}
		return false, fmt.Errorf("%d %s %w", status, body, err)
	})
}

// endLease ends the dead worker's lease between two looks of the victim's reconciler, so that the client is first.
func endLease(t *testing.T, w *world, victim *process, s school) {
	t.Helper()
	w.exec(t, "update signups set check_at = now() + interval '1.5 s' where email = $1", s.Email)
	posts(t, w, victim, s)
}

// unreachable: the server cannot be reached once the process runs.
func unreachable(t *testing.T, w *world, victim *process, s school) {
	t.Helper()
	w.serverWire.cut()
	posts(t, w, victim, s)
}

// weakly posts a password that the provider refuses. The client corrects it afterwards.
func weakly(t *testing.T, _ *world, victim *process, s school) {
	t.Helper()
	s.Body = strings.Replace(s.Body, "Correct-Horse-9", "alllowercase", 1)
	if status, body, err := s.post(t.Context(), victim.url); err == nil {
		t.Fatalf("answered %d %s", status, body)
	}
}

// weaklyInDoubt: an earlier attempt may still be on its way.
func weaklyInDoubt(t *testing.T, w *world, victim *process, s school) {
	t.Helper()
	w.auth0.Inject(auth0test.Fault{Method: "POST", Path: "/api/v2/users", Kind: auth0test.FaultResetBefore})
	weakly(t, w, victim, s)
}

// unanswered: the provider makes the user and says nothing.
func unanswered(t *testing.T, w *world, victim *process, s school) {
	t.Helper()
	w.auth0.Inject(auth0test.Fault{Path: "/api/v2/users", Kind: auth0test.FaultHang, WorkFirst: true, Times: -1})
	if status, body, err := s.post(t.Context(), victim.url); err == nil {
		t.Fatalf("answered %d %s", status, body)
	}
	w.auth0.ClearFaults()
}

// rewrite has somebody else rewrite what a school's identity says of its sign-up.
func (w *world) rewrite(t *testing.T, s school, signup string) {
	t.Helper()
	users := w.auth0.Users()
	i := slices.IndexFunc(users, func(u auth0test.User) bool { return u.Email == s.Email })
	if i < 0 {
		t.Fatal("there is no identity")
	}
	users[i].AppMetadata = maps.Clone(users[i].AppMetadata)
	users[i].AppMetadata["signup_id"] = signup
	w.auth0.DeleteAll()
	if err := w.auth0.Seed(users...); err != nil {
		t.Fatal(err)
	}
}

// parked: the sign-up waits for a person, with everything it has. The person corrects the identity, and gives it back.
func parked(t *testing.T, w *world, _ *process, s school) {
	t.Helper()
	var id uuid.UUID
	err := w.pool.QueryRow(t.Context(), `
		select signups.id
		from signups
		join users on users.id = user_id
		join tenants on tenants.id = signups.tenant_id
		where signups.email = $1 and status = 'failed' and check_at is null and tenants.state = 'reserved'`, s.Email).Scan(&id)
	if err != nil {
		t.Fatalf("find the parked sign-up: %v", err)
	}
	w.rewrite(t, s, id.String())
	w.exec(t, "update signups set status = 'pending', check_at = now(), finished_at = null, problem = null where id = $1", id)
}

// expiredMeanwhile: another process decides that the sign-up is over while this one is still making its identity.
func expiredMeanwhile(t *testing.T, w *world, victim *process, s school) {
	t.Helper()
	w.auth0.Inject(auth0test.Fault{Method: "POST", Path: "/api/v2/users", Kind: auth0test.FaultSlow, WorkFirst: true, Delay: 4 * time.Second})
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		_, _, _ = s.post(t.Context(), victim.url)
	}()
	eventually(t, "the identity", func() (bool, error) {
		return slices.ContainsFunc(w.auth0.Users(), func(u auth0test.User) bool { return u.Email == s.Email }), nil
	})
	store, err := catalog.Open(t.Context(), catalog.Config{URL: w.catalogURL})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	w.exec(t, "update signups set check_at = now() - interval '1 h' where email = $1", s.Email)
	due, err := store.Due(t.Context(), time.Minute, 1)
	if err != nil || len(due) != 1 {
		t.Fatalf("%v, %v", due, err)
	}
	if err := store.Expire(t.Context(), due[0], []byte("[]"), []byte("{}"), 15*time.Second); err != nil {
		t.Fatal(err)
	}
	<-answered
}

// lateIdentity: the provider makes the identity of a sign-up that died only once that has expired.
func lateIdentity(t *testing.T, w *world, _ *process, s school) {
	t.Helper()
	var id, user uuid.UUID
	eventually(t, "the end of the sign-up", func() (bool, error) {
		err := w.pool.QueryRow(t.Context(), "select id, user_id from signups where status = 'expired' and email = $1", s.Email).Scan(&id, &user)
		return err == nil, err
	})
	err := w.auth0.Seed(auth0test.User{
		ID: "auth0|" + user.String(), Email: s.Email, AppMetadata: map[string]any{"signup_id": id.String()},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// leftover: the client comes back before the reconciler has met the late identity.
func leftover(t *testing.T, w *world, victim *process, s school) {
	t.Helper()
	lateIdentity(t, w, victim, s)
	posts(t, w, victim, s)
}

// exec runs a statement in the catalog.
func (w *world) exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	if _, err := w.pool.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// reprovision signs the school up, damages what it has, and has it provisioned again, set aside when fresh.
func reprovision(fresh bool, damage func(t *testing.T, w *world, database string)) func(*testing.T, *world, *process, school) {
	return func(t *testing.T, w *world, victim *process, s school) {
		t.Helper()
		// The victim would die at the points that a sign-up has too; so another process makes the school.
		maker := w.start(t)
		answer := s.mustSucceed(t, maker.url)
		w.settled(t)
		maker.kill()
		var made struct {
			School struct{ Slug, Database string }
		}
		if err := json.Unmarshal([]byte(answer), &made); err != nil {
			t.Fatal(err)
		}
		if damage != nil {
			damage(t, w, made.School.Database)
		}
		body := `{}`
		if fresh {
			body = fmt.Sprintf(`{"fresh":true,"confirm":%q}`, made.School.Slug)
		}
		status, text, err := w.operator(t.Context(), victim.url, http.MethodPost, "/tenants/"+made.School.Slug+"/reprovision", body)
		if err == nil && status != http.StatusAccepted {
			t.Fatalf("%d %s", status, text)
		}
	}
}

const (
	plain = false
	fresh = true
)

// superuser runs statements on the tenants' server.
func (w *world) superuser(t *testing.T, statements ...string) {
	t.Helper()
	conn := dial(t, w.serverURL)
	for _, sql := range statements {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
}

func ungranted(t *testing.T, w *world, database string) {
	conn := dial(t, strings.Replace(w.serverURL, "/postgres?", "/"+database+"?", 1))
	if _, err := conn.Exec(t.Context(), "revoke all on lunch_weeks from homeroom_tenant"); err != nil {
		t.Fatal(err)
	}
}

func taken(t *testing.T, w *world, database string) {
	w.superuser(t, "alter database "+database+" owner to postgres")
}

// foreign makes the tenant's database one that nobody can tell is ours; ours gives it back.
func foreign(t *testing.T, w *world, database string) {
	w.superuser(t, "comment on database "+database+" is null", "alter database "+database+" owner to postgres")
}

func ours(t *testing.T, w *world) {
	database := w.databases(t, "state = 'quarantined'")[0]
	w.superuser(t, "alter database "+database+" owner to homeroom_owner")
	p := w.start(t)
	if status, text, err := w.operator(t.Context(), p.url, http.MethodPost, "/tenants/"+database+"/reprovision", `{}`); err != nil || status != http.StatusAccepted {
		t.Fatalf("%d %s %v", status, text, err)
	}
	p.stopWhen(t, w)
}

func invalid(t *testing.T, w *world, database string) {
	w.superuser(t, "update pg_database set datconnlimit = -2 where datname = '"+database+"'")
}

func invalidUnmarked(t *testing.T, w *world, database string) {
	w.superuser(t, "comment on database "+database+" is null")
	invalid(t, w, database)
}

func dropped(t *testing.T, w *world, database string) {
	w.superuser(t, "drop database "+database+" with (force)", "drop role "+database)
}

// TestKilledAtEveryStepOfPreparing kills a process at every step on the way to the first tenant of a server, each of a
// process that goes on where the one before has died. The role is an ordinary one, which has steps that a superuser has not.
func TestKilledAtEveryStepOfPreparing(t *testing.T) {
	t.Parallel()
	postgres := pgtest.Private(t, nil)
	w := newOrdinaryWorld(t, postgres, "catalog", 1)
	for _, point := range preparations {
		w.start(t, "HOMEROOM_KILL_AT="+point).waitDead(t)
	}
	w.start(t)
	w.settled(t)
	w.audit(t)
	auditServer(t, postgres.URL("postgres"), w.known(t))
}

// newOrdinaryWorld is one whose role is no superuser, as in production.
func newOrdinaryWorld(t *testing.T, postgres *devpg.Server, catalog string, spares int) *world {
	t.Helper()
	_, err := dial(t, postgres.URL("postgres")).Exec(t.Context(), `
		create role homeroom login createdb createrole password 'secret';
		grant pg_signal_backend to homeroom;
		alter database postgres owner to homeroom;
		alter database template1 owner to homeroom`)
	if err != nil {
		t.Fatal(err)
	}
	as := func(database string) string {
		u, err := url.Parse(postgres.URL(database))
		if err != nil {
			t.Fatal(err)
		}
		u.User = url.UserPassword("homeroom", "secret")
		return u.String()
	}
	w := newWorld(t, as(catalog), as("postgres"), spares)
	return w
}

// mendingPoints are those of the doctor's repairs.
var mendingPoints = []string{
	"doctor.chosen:2", "doctor.mended", "doctor.recorded:2", "doctor.rebuilding", "tenant.set_aside_dropped", "tenant.role_dropped",
	"template.unmarked",
}

// TestKilledAtEveryStepOfMending kills the doctor in the middle of its repairs. The next one mends the rest.
func TestKilledAtEveryStepOfMending(t *testing.T) {
	t.Parallel()
	postgres := pgtest.Private(t, nil)
	w := newWorld(t, postgres.URL("catalog"), postgres.URL("postgres"), 2)
	p := w.start(t)
	newSchool(1).mustSucceed(t, p.url)
	p.stopWhen(t, w)
	for _, point := range mendingPoints {
		t.Run(point, func(t *testing.T) {
			w.superuser(t,
				"alter database "+w.databases(t, "state = 'ready'")[0]+" allow_connections false",
				"update pg_database set datconnlimit = -2 where datname = '"+w.databases(t, "state = 'spare'")[0]+"'",
				"create role "+tenant.NewID().Database(),
				"create database homeroom_template_1_0123456789ab owner homeroom_owner template template0",
				"alter database homeroom_template_1_0123456789ab is_template true")
			victim := w.run(t, []string{"doctor", "--fix", "--yes"}, "HOMEROOM_KILL_AT="+point)
			victim.waitDead(t)
			if code, out, errs := w.homeroom(t, "doctor", "--fix", "--yes"); code != exitOK {
				t.Errorf("exit code %d: %s%s", code, out, errs)
			}
			w.start(t).stopWhen(t, w) // the keeper makes the spare again
			w.audit(t)
			auditServer(t, postgres.URL("postgres"), w.known(t))
		})
	}
}

// TestEveryKillPointIsTested compares the points of the source with those of the tests.
func TestEveryKillPointIsTested(t *testing.T) {
	t.Parallel()
	tested := map[string]bool{}
	for _, c := range crashes {
		tested[c.point] = true
	}
	for _, point := range slices.Concat(preparations, migrationPoints(), mendingPoints) {
		name, _, _ := strings.Cut(point, ":")
		tested[name] = true
	}
	found := map[string]bool{}
	err := filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		return pointsOf(path, found)
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, point := range slices.Sorted(maps.Keys(found)) {
		if !tested[point] {
			t.Errorf("no crash test dies at %s", point)
		}
	}
	for _, point := range slices.Sorted(maps.Keys(tested)) {
		if !found[point] {
			t.Errorf("the crash tests name %s, which is not in the source", point)
		}
	}
}

// pointsOf collects the kill points of a file. Each has a name that is written out.
func pointsOf(path string, found map[string]bool) error {
	content, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(content), "killpoint.Here(") {
		return err
	}
	file, err := parser.ParseFile(token.NewFileSet(), path, content, 0)
	if err != nil {
		return err
	}
	ast.Inspect(file, func(node ast.Node) bool {
		call, ok := node.(*ast.CallExpr)
		if !ok {
			return true
		}
		if f, ok := call.Fun.(*ast.SelectorExpr); ok && f.Sel.Name == "Here" && fmt.Sprint(f.X) == "killpoint" {
			literal, ok := call.Args[0].(*ast.BasicLit)
			if !ok {
				err = errors.Join(err, fmt.Errorf("%s: the name of a kill point is not written out", path))
				return true
			}
			name, bad := strconv.Unquote(literal.Value)
			found[name], err = true, errors.Join(err, bad)
		}
		return true
	})
	return err
}

// operator makes a request as one.
func (w *world) operator(ctx context.Context, base, method, path, body string) (status int, text string, err error) {
	token := w.auth0.IssueToken(auth0test.TokenRequest{
		Permissions: []string{"read:tenants", "update:tenants", "migrate:tenants"}, Issuer: w.issuer,
	})
	return request(ctx, base, method, path, body, "Authorization", "Bearer "+token)
}
