package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"homeroom/auth0/auth0test"
	"homeroom/catalog"
	"homeroom/internal/flaky"
	"homeroom/internal/pgtest"
	"homeroom/tenant"
)

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

// endLease ends the dead worker's lease between two rounds of the victim's reconciler, so that the client comes
// first.
func endLease(t *testing.T, w *world, victim *process, s school) {
	t.Helper()
	w.exec(t, "update signups set check_at = now() + interval '1.5 s' where email = $1", s.Email)
	posts(t, w, victim, s)
}

// unreachable makes the server unreachable once the process runs.
func unreachable(t *testing.T, w *world, victim *process, s school) {
	t.Helper()
	w.serverProxy.cut()
	posts(t, w, victim, s)
}

// weakPassword posts a password that the provider refuses. The client corrects it afterwards.
func weakPassword(t *testing.T, _ *world, victim *process, s school) {
	t.Helper()
	s.Body = strings.Replace(s.Body, "Correct-Horse-9", "alllowercase", 1)
	if status, body, err := s.post(t.Context(), victim.url); err == nil {
		t.Fatalf("answered %d %s", status, body)
	}
}

// unclaimable makes the spares look like those of a catalog that was restored.
func unclaimable(t *testing.T, w *world, _ *process, _ school) {
	t.Helper()
	if _, err := w.pool.Exec(t.Context(), "update tenants set claimable_in = 'another' where state = 'spare'"); err != nil {
		t.Fatal(err)
	}
}

// withoutDatabase posts a school whose spare has lost its database.
func withoutDatabase(t *testing.T, w *world, victim *process, s school) {
	t.Helper()
	w.superuser(t, "drop database "+w.databases(t, "state = 'spare' and "+claimable+" order by created_at")[0])
	posts(t, w, victim, s)
}

// succeeds posts a school that gets its answer; the process dies afterwards.
func succeeds(t *testing.T, _ *world, victim *process, s school) {
	t.Helper()
	s.mustSucceed(t, victim.url)
}

// weakPasswordAfterUnknownOutcome does so when the outcome of an earlier attempt is unknown.
func weakPasswordAfterUnknownOutcome(t *testing.T, w *world, victim *process, s school) {
	t.Helper()
	w.auth0.Inject(flaky.Fault{Method: "POST", Path: "/api/v2/users", Kind: flaky.Reset})
	weakPassword(t, w, victim, s)
}

// unanswered makes the provider create the user and not answer.
func unanswered(t *testing.T, w *world, victim *process, s school) {
	t.Helper()
	w.auth0.Inject(flaky.Fault{Path: "/api/v2/users", Kind: flaky.Hang, WorkFirst: true, Times: -1})
	if status, body, err := s.post(t.Context(), victim.url); err == nil {
		t.Fatalf("answered %d %s", status, body)
	}
	w.auth0.ClearFaults()
}

// rewrite changes the sign-up's id in the metadata of a school's identity.
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

// stopped waits until the sign-up needs an operator, and then corrects its identity.
func (w *world) stopped(t *testing.T, s school) (id uuid.UUID) {
	t.Helper()
	eventually(t, "the sign-up that needs an operator", func() (bool, error) {
		err := w.pool.QueryRow(t.Context(), `
			select signups.id
			from signups
			join users on users.id = user_id
			join tenants on tenants.id = signups.tenant_id
			where signups.email = $1 and status = 'needs_operator' and check_at is null and tenants.state = 'reserved'`, s.Email).Scan(&id)
		return err == nil, err
	})
	w.rewrite(t, s, id.String())
	return id
}

// corrected finishes the sign-up as an operator.
func corrected(t *testing.T, w *world, _ *process, s school) {
	t.Helper()
	id := w.stopped(t, s).String()
	for range 2 { // the second time there is nothing left to do
		if code, out, errs := w.homeroom(t, "signup", "resolve", id, "--finish"); code != exitOK || !strings.HasPrefix(out, "Finished: ") {
			t.Fatalf("exit code %d: %s%s", code, out, errs)
		}
	}
}

// resolves kills the operator's command, together with the service that was running.
func resolves(way string) func(*testing.T, *world, *process, school) {
	return func(t *testing.T, w *world, victim *process, s school) {
		t.Helper()
		id := w.stopped(t, s).String()
		var at string
		for _, variable := range victim.cmd.Env {
			if strings.HasPrefix(variable, "HOMEROOM_KILL_AT=") {
				at = variable
			}
		}
		w.run(t, []string{"signup", "resolve", id, way}, at).waitDead(t)
		victim.kill()
	}
}

// expiredMeanwhile lets another process expire the sign-up while this one is still creating its identity.
func expiredMeanwhile(t *testing.T, w *world, victim *process, s school) {
	t.Helper()
	w.auth0.Inject(flaky.Fault{Method: "POST", Path: "/api/v2/users", Kind: flaky.Slow, WorkFirst: true, Delay: 4 * time.Second})
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

// lateIdentity makes the provider create the identity of a sign-up only after the sign-up has expired.
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

// leftover lets the client come back before the reconciler has found the late identity.
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

// reprovision signs the school up, damages its tenant, and has it provisioned again, with a new database when fresh.
func reprovision(fresh bool, damage func(t *testing.T, w *world, database string)) func(*testing.T, *world, *process, school) {
	return func(t *testing.T, w *world, victim *process, s school) {
		t.Helper()
		// The victim would die at the points that a sign-up has too; so another process makes the school.
		maker := w.start(t)
		answer := s.mustSucceed(t, maker.url)
		w.waitIdle(t)
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

// rotate signs the school up, and gives its role a new password.
func rotate(t *testing.T, w *world, victim *process, s school) {
	t.Helper()
	maker := w.start(t)
	s.mustSucceed(t, maker.url)
	w.waitIdle(t)
	maker.kill()
	_, _, _ = w.operator(t.Context(), victim.url, http.MethodPost, "/tenants/"+slugOf(t, w, s)+"/rotate", `{}`) // it dies meanwhile
}

// slugOf returns the slug of the school that a sign-up has created.
func slugOf(t *testing.T, w *world, s school) (slug string) {
	t.Helper()
	err := w.pool.QueryRow(t.Context(), "select slug from tenants where id = (select tenant_id from signups where email = $1)", s.Email).Scan(&slug)
	if err != nil {
		t.Fatal(err)
	}
	return slug
}

// rotationCompletes waits until the role has the password of the catalog's rotation.
func rotationCompletes(t *testing.T, w *world, survivor *process, s school) {
	t.Helper()
	eventually(t, "the password of the new rotation", func() (bool, error) {
		var id uuid.UUID
		var rotation int
		err := w.pool.QueryRow(t.Context(), "select id, password_rotation from tenants where slug = $1", slugOf(t, w, s)).Scan(&id, &rotation)
		if err != nil {
			return false, err
		}
		conn, err := pgx.Connect(t.Context(), w.server.URL(tenant.ID(id), rotation).Reveal())
		if err != nil {
			return false, err
		}
		return true, conn.Close(t.Context())
	})
	checkRecovered(t, w, survivor, s)
}

const (
	plain = false
	fresh = true
)

// superuser runs statements on the tenants' server.
func (w *world) superuser(t *testing.T, statements ...string) {
	t.Helper()
	pgtest.Exec(t, w.serverURL, statements...)
}

func ungranted(t *testing.T, w *world, database string) {
	conn := pgtest.Connect(t, strings.Replace(w.serverURL, "/postgres?", "/"+database+"?", 1))
	if _, err := conn.Exec(t.Context(), "revoke all on lunch_weeks from homeroom_tenant"); err != nil {
		t.Fatal(err)
	}
}

// unlimited gives the tenant's database a setting that it should not have.
func unlimited(t *testing.T, w *world, database string) {
	w.superuser(t, "alter database "+database+" set work_mem = '1GB'")
}

func taken(t *testing.T, w *world, database string) {
	w.superuser(t, "alter database "+database+" owner to postgres")
}

// makeUnmanaged removes what shows that the tenant's database is Homeroom's; ours restores the owner.
func makeUnmanaged(t *testing.T, w *world, database string) {
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
