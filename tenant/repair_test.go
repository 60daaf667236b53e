package tenant_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"homeroom/internal/pgtest"
	"homeroom/tenant"
)

// damages are possible problems of a tenant's role and database; %s is its name.
var damages = []string{
	"alter role %s superuser",
	"alter role %s createdb",
	"alter role %s createrole",
	"alter role %s replication bypassrls",
	"alter role %s noinherit connection limit 0",
	"alter role %s valid until '2020-01-01'",
	"alter role %s nologin",
	"alter role %s password null",
	"alter role %s set search_path = pg_temp",
	"alter role %s in database %s set default_transaction_read_only = on",
	"alter role %s in database postgres set work_mem = '1GB'",
	"grant pg_read_all_data to %s",
	"grant homeroom_owner to %s",
	"grant other to %s",
	"grant %s to other",
	"alter database %s set default_transaction_read_only = on",
	"alter database %s connection limit 0",
	"alter database %s is_template true",
}

func TestEnsureRestoresRolesAndDatabases(t *testing.T) {
	t.Parallel()
	own := pgtest.Private(t, nil)
	root := pgtest.Connect(t, own.URL("postgres"))
	exec(t, root, "create role other")
	server := openAt(t, own.URL("postgres"), nil)
	for _, damage := range damages {
		id := ensure(t, server)
		exec(t, root, strings.ReplaceAll(damage, "%s", id.Database()))
		result, err := server.Ensure(t.Context(), id, 0, nil)
		if err != nil || !result.Changed() {
			t.Errorf("%s: %v %+v", damage, err, result.Steps)
			continue
		}
		survey, err := server.Survey(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if wrong := slices.Concat(survey.Roles[id.Database()].Problems, survey.Databases[id.Database()].Problems); len(wrong) > 0 {
			t.Errorf("%s: still wrong after the repair: %q", damage, wrong)
		}
		if again, err := server.Ensure(t.Context(), id, 0, nil); err != nil || again.Changed() {
			t.Errorf("%s: a second repair: %v %+v", damage, err, again.Steps)
		}
		exec(t, pgtest.Connect(t, server.URL(id, 0).Reveal()), "insert into lunch_weeks (starts_on) values ('2026-11-23')")
	}
}

// TestEnsureFailsForWhatItMayNotRepair: our role is not a superuser. The statements in the error, run by a superuser,
// are enough.
func TestEnsureFailsForWhatItMayNotRepair(t *testing.T) {
	t.Parallel()
	own := pgtest.Private(t, nil)
	root := pgtest.Connect(t, own.URL("postgres"))
	exec(t, root, "create role provisioner login createdb createrole password 'secret'; create role other superuser")
	server := openAt(t, withUser(t, own.URL("postgres"), "provisioner", "secret"), nil)
	refused := 0
	for _, damage := range append(damages, "grant other to %s", "alter database %s owner to postgres") {
		id := ensure(t, server)
		exec(t, root, strings.ReplaceAll(damage, "%s", id.Database()))
		_, err := server.Ensure(t.Context(), id, 0, nil)
		var left *tenant.UnrepairedError
		if errors.As(err, &left) {
			refused++
			for _, statement := range left.Statements {
				if !strings.Contains(err.Error(), statement) {
					t.Errorf("%s: the error does not contain %q: %v", damage, statement, err)
				}
				exec(t, root, statement, pgx.QueryExecModeSimpleProtocol)
			}
			_, err = server.Ensure(t.Context(), id, 0, nil)
		}
		if err != nil {
			t.Errorf("%s: %v", damage, err)
		}
		if again, err := server.Ensure(t.Context(), id, 0, nil); err != nil || again.Changed() {
			t.Errorf("%s: a second repair: %v %+v", damage, err, again.Steps)
		}
	}
	if refused == 0 {
		t.Error("our role may repair everything")
	}
}

func TestSharedRolesAreRestored(t *testing.T) {
	t.Parallel()
	own := pgtest.Private(t, nil)
	root := pgtest.Connect(t, own.URL("postgres"))
	server := openAt(t, own.URL("postgres"), nil)
	ensure(t, server)
	exec(t, root, "alter role homeroom_owner login superuser createrole; alter role homeroom_owner set search_path = pg_temp")
	exec(t, root, "grant pg_read_all_data to homeroom_tenant; alter role homeroom_tenant in database postgres set work_mem = '1GB'")
	if err := server.RepairShared(t.Context()); err != nil {
		t.Fatal(err)
	}
	survey, err := server.Survey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, role := range survey.Shared {
		if len(role.Problems) > 0 {
			t.Errorf("%s: %q", role.Name, role.Problems)
		}
	}
	exec(t, root, "create role provisioner login createdb createrole password 'secret'; grant homeroom_owner to provisioner; grant connect on database postgres to provisioner")
	exec(t, root, "alter role homeroom_owner superuser")
	err = openAt(t, withUser(t, own.URL("postgres"), "provisioner", "secret"), nil).RepairShared(t.Context())
	var left *tenant.UnrepairedError
	if !errors.As(err, &left) || !slices.Contains(left.Statements, "alter role homeroom_owner nosuperuser") {
		t.Errorf("our role may not: got %v", err)
	}
}
