package tenant_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"homeroom/internal/pgtest"
	"homeroom/migrations"
	"homeroom/tenant"
)

func TestSurveyFindsAllManagedNames(t *testing.T) {
	t.Parallel()
	own := pgtest.Private(t, nil)
	root := pgtest.Connect(t, own.URL("postgres"))
	older := openAt(t, own.URL("postgres"), func(c *tenant.Config) { c.Migrations = load(t, ownSchema[:1]...) })
	server := openAt(t, own.URL("postgres"), func(c *tenant.Config) { c.Migrations = load(t, ownSchema...) })
	ensure(t, older)
	good, closed, stolen, half, set := ensure(t, server), ensure(t, server), ensure(t, server), ensure(t, server), ensure(t, server)
	unmanaged := tenant.NewID()
	pgtest.Connect(t, server.URL(good, 0).Reveal())
	exec(t, root, "alter database "+closed.Database()+" allow_connections false")
	exec(t, root, "alter role "+closed.Database()+" nologin")
	exec(t, root, "alter database "+stolen.Database()+" owner to postgres")
	exec(t, root, "comment on database "+stolen.Database()+" is 'homeroom tenant "+good.String()+"'")
	exec(t, root, "grant connect on database "+stolen.Database()+" to public")
	exec(t, root, "alter role "+stolen.Database()+" set search_path = pg_temp")
	exec(t, root, "update pg_database set datconnlimit = -2 where datname = $1", half.Database())
	exec(t, root, "create database "+unmanaged.Database())
	exec(t, root, "create database t_short")
	exec(t, root, "create role t_short")
	if err := server.Archive(t.Context(), set, tenant.ArchiveName(set, value2026)); err != nil {
		t.Fatal(err)
	}
	survey, err := server.Survey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := map[tenant.ID]tenant.FoundDatabase{
		good:      {Ours: true, AcceptsConnections: true, OnlyTenantConnects: true, Connections: 1},
		closed:    {Ours: true, OnlyTenantConnects: true},
		stolen:    {AcceptsConnections: true},
		half:      {Ours: true, AcceptsConnections: true, OnlyTenantConnects: true, Invalid: true},
		unmanaged: {AcceptsConnections: true},
	}
	for id, w := range want {
		w.Problems = []string{}
		got := survey.Databases[id.Database()]
		switch w.MarkedAs = &id; id {
		case stolen:
			w.MarkedAs = &good
		case unmanaged:
			w.MarkedAs = nil
		}
		if (got.MarkedAs == nil) != (w.MarkedAs == nil) || got.MarkedAs != nil && *got.MarkedAs != *w.MarkedAs {
			t.Errorf("%s is marked as %v, want %v", id, got.MarkedAs, w.MarkedAs)
		}
		if got.MarkedAs, w.MarkedAs = nil, nil; !reflect.DeepEqual(got, w) {
			t.Errorf("%s: %+v, want %+v", id, got, w)
		}
	}
	if len(survey.Databases) != 6 || len(survey.Roles) != 6 { // the older server's tenant; the role of the archived one
		t.Errorf("%d databases and %d roles, want 6 and 6: %+v", len(survey.Databases), len(survey.Roles), survey)
	}
	for id, role := range map[tenant.ID]tenant.FoundRole{
		good:   {InOrder: true, CanLogin: true, Problems: []string{}},
		closed: {Problems: []string{"may not log in"}},
		stolen: {CanLogin: true, Problems: []string{"setting search_path=pg_temp", "lacks setting search_path=public"}},
	} {
		if got := survey.Roles[id.Database()]; !reflect.DeepEqual(got, role) {
			t.Errorf("role of %s: %+v, want %+v", id, got, role)
		}
	}
	if len(survey.Archives) != 1 || survey.Archives[0].Tenant != set || !survey.Archives[0].At.Equal(value2026) || *survey.Archives[0].MarkedAs != set ||
		!survey.Archives[0].Ours || survey.Archives[0].AcceptsConnections || survey.Archives[0].Name != tenant.ArchiveName(set, value2026) {
		t.Errorf("kept: %+v", survey.Archives)
	}
	if len(survey.Templates) != 2 {
		t.Fatalf("templates: %+v", survey.Templates)
	}
	for _, template := range survey.Templates {
		want := tenant.FoundTemplate{Name: older.Template(), Version: 1, Complete: true}
		if template.Name == server.Template() {
			want = tenant.FoundTemplate{Name: server.Template(), Version: 3, Complete: true, Current: true}
		}
		if template != want {
			t.Errorf("template %+v, want %+v", template, want)
		}
	}
}

func TestSurveyListsProblems(t *testing.T) {
	t.Parallel()
	own := pgtest.Private(t, nil)
	root := pgtest.Connect(t, own.URL("postgres"))
	server := openAt(t, own.URL("postgres"), nil)
	wrong := func(id tenant.ID) []string {
		survey, err := server.Survey(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return slices.Concat(survey.Databases[id.Database()].Problems, survey.Roles[id.Database()].Problems)
	}
	other := ensure(t, server)
	for damage, want := range map[string][]string{
		"select 1":                                                  nil,
		"alter database %s connection limit 0":                      {"connection limit 0"},
		"alter database %s is_template true":                        {"marked as a template"},
		"alter database %s set default_transaction_read_only = on":  {"setting default_transaction_read_only=on"},
		"alter role %s in database %[1]s set search_path = pg_temp": {"setting search_path=pg_temp in database %s"},
		"alter role %s set work_mem = '1GB'":                        {"setting work_mem=1GB"},
		"alter role %s superuser createdb createrole":               {"superuser", "may create databases", "may create roles"},
		"alter role %s replication bypassrls noinherit":             {"may replicate", "bypasses row security", "does not inherit"},
		"alter role %s connection limit 0 valid until '2020-01-01'": {"connection limit 0", "valid until 2020-01-01 00:00:00+00"},
		"grant pg_read_all_data to %s":                              {"member of pg_read_all_data"},
		"grant homeroom_owner to %s":                                {"member of homeroom_owner"},
		"grant %s to pg_monitor":                                    {"granted to pg_monitor"},
		"revoke homeroom_tenant from %s":                            {"is no member of homeroom_tenant"},
		"grant " + other.Database() + " to %s":                      {"member of " + other.Database()},
	} {
		id := ensure(t, server)
		exec(t, root, "set timezone = 'UTC'; "+strings.ReplaceAll(strings.ReplaceAll(damage, "%[1]s", id.Database()), "%s", id.Database()))
		for i := range want {
			want[i] = strings.ReplaceAll(want[i], "%s", id.Database())
		}
		got := wrong(id)
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", damage, got, want)
		}
	}
}

func TestSurveyListsSharedRolesAndDatabases(t *testing.T) {
	t.Parallel()
	own := pgtest.Private(t, nil)
	root := pgtest.Connect(t, own.URL("postgres"))
	server := openAt(t, own.URL("postgres"), nil)
	found := func() tenant.Survey {
		survey, err := server.Survey(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return survey
	}
	shared := func(owner, group []string) []tenant.FoundSharedRole {
		return []tenant.FoundSharedRole{{Name: "homeroom_owner", Problems: owner}, {Name: "homeroom_tenant", Problems: group}}
	}
	missing := []string{"is missing"}
	if got := found(); !reflect.DeepEqual(got.Shared, shared(missing, missing)) || !slices.Equal(got.PublicConnect, []string{"postgres", "template1"}) {
		t.Errorf("a new server: %+v, public connect %q", got.Shared, got.PublicConnect)
	}
	ensure(t, server)
	if got := found(); !reflect.DeepEqual(got.Shared, shared([]string{}, []string{})) || len(got.PublicConnect) != 0 {
		t.Errorf("a server with a tenant: %+v, public connect %q", got.Shared, got.PublicConnect)
	}
	exec(t, root, "create database closed")
	exec(t, root, "revoke all on database closed from public")
	exec(t, root, "grant connect on database closed to homeroom_tenant")
	exec(t, root, "create database catalog")
	exec(t, root, "alter role homeroom_owner login superuser; alter role homeroom_owner set search_path = pg_temp")
	exec(t, root, "grant pg_read_all_data to homeroom_tenant")
	got := found()
	if want := shared([]string{"may log in", "superuser", "setting search_path=pg_temp"}, []string{"member of pg_read_all_data"}); !reflect.DeepEqual(got.Shared, want) {
		t.Errorf("shared roles: %+v, want %+v", got.Shared, want)
	}
	if want := []string{"catalog", "closed"}; !slices.Equal(got.PublicConnect, want) {
		t.Errorf("public connect: %q, want %q", got.PublicConnect, want)
	}
}

func TestSurveyReportsChangedCollations(t *testing.T) {
	t.Parallel()
	own := pgtest.Private(t, nil)
	root := pgtest.Connect(t, own.URL("postgres"))
	server := openAt(t, own.URL("postgres"), nil)
	id := ensure(t, server)
	exec(t, root, "update pg_database set datcollversion = '153.14' where datname in ($1, $2)", id.Database(), server.Template())
	survey, err := server.Survey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !survey.Databases[id.Database()].CollationChanged || !survey.Templates[0].CollationChanged {
		t.Errorf("not told: %+v", survey)
	}
}

func TestDropTemplateDropsOnlyWhatIsNotInUse(t *testing.T) {
	t.Parallel()
	own := pgtest.Private(t, nil)
	older := openAt(t, own.URL("postgres"), func(c *tenant.Config) { c.Migrations = load(t, ownSchema[:1]...) })
	server := openAt(t, own.URL("postgres"), nil)
	ensure(t, older)
	id := ensure(t, server)
	for _, name := range []string{server.Template(), "postgres", id.Database(), older.Template() + "x", `x"; drop database postgres`} {
		if err := server.DropTemplate(t.Context(), name); err == nil {
			t.Errorf("dropped %s", name)
		}
	}
	for range 2 {
		if err := server.DropTemplate(t.Context(), older.Template()); err != nil {
			t.Fatal(err)
		}
	}
	survey, err := server.Survey(t.Context())
	if err != nil || len(survey.Templates) != 1 || !survey.Templates[0].Current {
		t.Errorf("left: %+v, %v", survey.Templates, err)
	}
	ensure(t, older) // a program that still needs it creates it again
}

func TestDropRoleDropsOnlyThatOfNoDatabase(t *testing.T) {
	t.Parallel()
	server := open(t, nil)
	id := ensure(t, server)
	if err := server.DropRole(t.Context(), id); err == nil {
		t.Error("dropped the role of a tenant that has a database")
	}
	pgtest.Connect(t, server.URL(id, 0).Reveal())
	if err := server.Archive(t.Context(), id, tenant.ArchiveName(id, value2026)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := server.DropRole(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	if value[bool](t, pgtest.Connect(t, rootURL(t, "postgres")), "select exists (select from pg_roles where rolname = $1)", id.Database()) {
		t.Error("the role still exists")
	}
}

func TestInspectReportsWhatEnsureWouldRepair(t *testing.T) {
	t.Parallel()
	server := open(t, nil)
	id := ensure(t, server)
	found, err := server.Inspect(t.Context(), id, 0)
	if err != nil || !found.CanLogin || !found.Grants || found.Status.State != migrations.Current || found.VersionRows != 1 {
		t.Fatalf("a healthy tenant: %+v, %v", found, err)
	}
	same(t, "a healthy tenant", referenceOf(t, server), found.Schema)
	inside := pgtest.Connect(t, rootURL(t, id.Database()))
	exec(t, inside, "revoke select on orders from homeroom_tenant")
	exec(t, inside, "update schema_migrations set version = 3; insert into schema_migrations values (2, false)")
	found, err = server.Inspect(t.Context(), id, 1) // another rotation's password
	if err != nil || found.CanLogin || found.Grants || found.Status.State != migrations.Behind || found.VersionRows != 2 {
		t.Errorf("a damaged tenant: %+v, %v", found, err)
	}
	if _, err := server.Inspect(t.Context(), tenant.NewID(), 0); err == nil {
		t.Error("inspected a missing database")
	}
}

func TestEmpty(t *testing.T) {
	t.Parallel()
	server := open(t, func(c *tenant.Config) { c.Migrations = load(t, ownSchema...) })
	for statement, want := range map[string]bool{
		"select 1": true,
		"insert into shop.days values ('2026-03-01')":                                                    false,
		"insert into shop.items (name) values ('soup'); alter table shop.items force row level security": false,
		"create table public.more as select 1 as i":                                                      false,
		"create table public.more (i int)":                                                               true,
		"select lo_from_bytea(0, 'soup')":                                                                false,
	} {
		t.Run(statement, func(t *testing.T) {
			t.Parallel()
			id := ensure(t, server)
			exec(t, pgtest.Connect(t, rootURL(t, id.Database())), "set role homeroom_owner; "+statement)
			if empty, err := server.Empty(t.Context(), id); err != nil && want || empty != want {
				t.Errorf("%v, %v; want %v", empty, err, want)
			}
		})
	}
	if empty, err := server.Empty(t.Context(), ensure(t, open(t, nil))); err != nil || !empty {
		t.Errorf("a new tenant: %v, %v", empty, err)
	}
}
