package doctor_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"homeroom/doctor"
	"homeroom/internal/secret"
	"homeroom/tenant"
)

// other is a second sign-up for a school's tenant, which Homeroom could not write.
const other = `insert into signups (id, request_hash, user_id, tenant_id, email, school_name, status, result)
	select gen_random_uuid(), '', user_id, tenant_id, 'other@lincoln.example', 'Other', 'ready', '{}' from signups where status = 'ready'`

func TestRows(t *testing.T) {
	t.Parallel()
	w := setup(t, 1)
	w.school()
	// hold reserves a spare for a sign-up whose process has died, at a given time.
	hold := func(w *world, ago string) {
		w.sql(`
			with held as (
				update tenants set state = 'reserved', name = 'Roosevelt', slug = 'roosevelt'
				where id = (select id from tenants where state = 'spare' limit 1) returning id
			), owner as (
				insert into users (id, tenant_id, email) select '0199c1b0-0000-7000-8000-000000000001', id, 'eve@roosevelt.example' from held
			)
			insert into signups (id, request_hash, user_id, tenant_id, email, school_name, status, check_at)
			select gen_random_uuid(), '', '0199c1b0-0000-7000-8000-000000000001', id, 'eve@roosevelt.example', 'Roosevelt', 'pending', now() - $1::interval
			from held`, ago)
	}
	// settled lets the last rechecks of an expired sign-up pass.
	settled := func(w *world) {
		w.sql("update signups set check_at = now(), finished_at = now() - interval '1 hour' where status = 'expired' and check_at is not null")
		if err := w.service.ReconcileOnce(w.Context()); err != nil {
			w.Fatal(err)
		}
	}
	run(t, w, []testCase{
		{
			name: "a sign-up without a worker", finds: "signup_unattended",
			make: func(w *world) { hold(w, "2 minutes") },
		},
		{
			name: "an expired sign-up without a recheck", finds: "signup_unattended",
			make: func(w *world) {
				settled(w)
				hold(w, "0")
				if err := w.service.ReconcileOnce(w.Context()); err != nil {
					w.Fatal(err)
				}
				w.sql("update signups set check_at = now() - interval '2 minutes', finished_at = now() - interval '1 hour' where status = 'expired' and check_at is not null")
			},
		},
		{
			name: "a sign-up that needs an operator, whose cause is gone", finds: "signup_needs_operator",
			make: func(w *world) {
				w.sql(`update signups set status = 'needs_operator', result = null, finished_at = null, problem = '{"code": "needs_operator"}',
					steps = '[{"name": "identity", "problem": "needs_operator"}]' where status = 'ready'`)
				w.sql("update tenants set state = 'reserved' where state = 'ready'")
				w.sql("update users set state = 'pending'")
			},
		},
		{
			name: "a user without a sign-up", finds: "tenant_held_by_nobody user_without_signup", leaves: "tenant_held_by_nobody user_without_signup",
			make: func(w *world) {
				settled(w)
				hold(w, "0")
				w.sql("delete from signups where status = 'pending'")
			},
			repair: func(w *world) {
				w.sql("delete from users where state = 'pending'")
				w.sql("update tenants set state = 'spare', name = null, slug = null where state = 'reserved'")
			},
		},
		{
			name: "a school without a user", finds: "signup_without_school tenant_without_user", leaves: "signup_without_school tenant_without_user",
			make:   func(w *world) { w.sql("update users set state = 'pending'") },
			repair: func(w *world) { w.sql("update users set state = 'active'") },
		},
		{
			name: "a user whose tenant is a spare", unfollowed: true, finds: "user_without_tenant", leaves: "user_without_tenant",
			make: func(w *world) {
				w.sql("update tenants set state = 'spare', name = null, slug = null where state = 'ready'")
			},
			repair: func(w *world) {
				w.sql("update tenants set state = 'ready', name = 'Lincoln High', slug = 'lincoln-high' where id in (select tenant_id from users)")
			},
		},
		{
			name: "two sign-ups with one tenant", finds: "tenant_shared", leaves: "tenant_shared",
			make:   func(w *world) { w.sql(other) },
			repair: func(w *world) { w.sql("delete from signups where school_name = 'Other'") },
		},
		{
			name: "a job for a tenant that does not exist", finds: "job_without_row",
			make: func(w *world) {
				tx, err := w.catalog.Pool().Begin(w.Context())
				if err == nil {
					err = w.queue.ReprovisionTx(w.Context(), tx, uuid.New(), "")
				}
				if err == nil {
					err = tx.Commit(w.Context())
				}
				if err != nil {
					w.Fatal(err)
				}
			},
		},
		{
			name: "a job whose process has died", finds: "job_stuck", leaves: "job_stuck",
			make: func(w *world) {
				tx, err := w.catalog.Pool().Begin(w.Context())
				if err == nil {
					err = w.queue.ReprovisionTx(w.Context(), tx, value[uuid.UUID](w, "select id from tenants where state = 'ready'"), "")
				}
				if err == nil {
					err = tx.Commit(w.Context())
				}
				if err != nil {
					w.Fatal(err)
				}
				w.sql("update river.river_job set state = 'running', attempted_at = now() - interval '16 minutes', attempt = 1 where finalized_at is null")
			},
			repair: func(w *world) { w.sql("delete from river.river_job where finalized_at is null") },
		},
	})
	if n := value[int](w, "select count(*) from audit_events where action = 'doctor.fix' and actor = 'homeroom doctor'"); n != 4 {
		t.Errorf("%d repairs are recorded, want 4", n)
	}
}

// A sign-up whose cause still exists needs an operator again, and the repair reports that.
func TestASignupNeedsAnOperatorWhileItsCauseIsThere(t *testing.T) {
	t.Parallel()
	w := setup(t, 0)
	school := w.school()
	w.sql(`update signups set status = 'needs_operator', result = null, finished_at = null, steps = '[{"name": "identity", "problem": "needs_operator"}]'`)
	w.sql("update tenants set state = 'reserved'")
	w.sql("update users set state = 'pending'")
	w.auth0.DeleteAll()
	report := w.finds("signup_needs_operator")
	if detail := report.Findings[0].Detail; !strings.Contains(detail, "step identity") {
		t.Errorf("it says %q", detail)
	}
	var failed error
	if _, err := w.doctor.Fix(t.Context(), report, func(_ doctor.Finding, err error) { failed = err }); err != nil || failed == nil {
		t.Errorf("the repair returned %v, %v", failed, err)
	}
	w.finds("signup_needs_operator")
	w.usable(school.School.Database)
}

func TestServers(t *testing.T) {
	t.Parallel()
	w := setup(t, 1)
	w.school()
	w.sql("insert into servers (name) values ('second')")
	run(t, w, []testCase{
		{
			name: "tenants on a server that is not configured", finds: "database_without_row server_unknown", leaves: "database_without_row server_unknown",
			make:   func(w *world) { w.sql("update tenants set server = 'second' where state = 'ready'") },
			repair: func(w *world) { w.sql("update tenants set server = 'main' where server = 'second'") },
		},
		{
			name: "spares on a server that is not configured", finds: "spare_on_unknown_server", leaves: "spare_on_unknown_server",
			make: func(w *world) {
				w.sql(`insert into tenants (id, server, database, lineage, state) values ('0199c1b0-0000-7000-8000-000000000002', 'second',
					't_aaaaaaaaaaaaaaaaaaaaaaaaab', '` + w.server.Migrations().Lineage() + `', 'spare')`)
			},
			repair: func(w *world) { w.sql("delete from tenants where server = 'second'") },
		},
	})
	w.config.Tolerate = nil
	w.doctor = w.newDoctor(w.config)
	report := w.examine()
	if len(report.Findings) == 0 || report.Findings[0].Code != doctor.ServerWarning || report.Findings[0].Advice == "" || !report.HasProblems() {
		t.Errorf("of the server it reports only%s", describe(report))
	}
	w.config.Tolerate = serverWarnings
	away, err := tenant.Open(tenant.Config{Name: "second", URL: secret.String("postgres://homeroom@127.0.0.1:1/postgres"), Key: key})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(away.Close)
	w.config.Servers = tenant.Servers{"main": w.server, "second": away}
	w.doctor = w.newDoctor(w.config)
	w.sql("update tenants set server = 'second' where state = 'ready'")
	w.superuser("postgres", "drop database "+value[string](w, "select database from tenants where state = 'ready'")+" with (force)")
	w.superuser("postgres", "drop role "+value[string](w, "select database from tenants where state = 'ready'"))
	w.finds("server_unreachable") // and none of its tenants is missing
}
