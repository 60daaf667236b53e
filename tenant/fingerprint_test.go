package tenant_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"homeroom/internal/pgtest"
	"homeroom/migrations"
	"homeroom/tenant"
)

// load returns a set of migrations, each with an up and a down file.
func load(t *testing.T, files ...[2]string) *migrations.Set {
	t.Helper()
	folder := fstest.MapFS{}
	for i, file := range files {
		folder[fmt.Sprintf("%06d_step.up.sql", i+1)] = &fstest.MapFile{Data: []byte(file[0])}
		folder[fmt.Sprintf("%06d_step.down.sql", i+1)] = &fstest.MapFile{Data: []byte(file[1])}
	}
	set, err := migrations.Load(folder)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// ownSchema uses more of Postgres than the embedded one. It has no roles, which belong to the server.
var ownSchema = [][2]string{
	{
		`
		create schema shop;
		create type shop.mood as enum ('glad', 'it''s fine');
		create domain shop.cents as integer not null default 0 constraint not_negative check (value >= 0);
		create type shop.address as (street text, "house no" integer);
		create table shop.items (gone text, id serial primary key, name text collate "C" not null default E'a\nb\\c', price shop.cents);
		create sequence shop.tickets increment 5 cycle maxvalue 100`,
		`drop schema shop cascade`,
	},
	{
		`
		alter table shop.items drop column gone;
		alter table shop.items add column number bigint generated always as identity, add column double integer generated always as (price * 2) stored;
		create table shop.days (day date primary key, item integer references shop.items) partition by range (day);
		create table shop.days_2026 partition of shop.days for values from ('2026-01-01') to ('2027-01-01') with (fillfactor = 70);
		create table shop.specials (note text) inherits (shop.items);
		create unlogged table shop.scratch (a tstzrange default '[2026-11-20 10:00+00,)', exclude using gist (a with &&));
		create index "by name" on shop.items (lower(name)) where price > 3;
		create view shop.cheap with (security_barrier) as
			select name from shop.items
			where price < 3;
		create materialized view shop.counted as select count(*) from shop.items`,
		`drop table shop.days, shop.specials, shop.scratch, shop.items cascade; drop materialized view if exists shop.counted;
		create table shop.items (gone text, id serial primary key, name text collate "C" not null default E'a\nb\\c', price shop.cents)`,
	},
	{
		`
		create function shop.twice(i integer, label text default 'x (y') returns integer language sql immutable as 'select i * 2';
		create procedure shop.nothing() language sql as '';
		create aggregate shop.total(integer) (sfunc = int4pl, stype = integer, initcond = '0');
		create function shop.stamp() returns trigger language plpgsql as $$ begin return new; end $$;
		create trigger stamp before insert on shop.items for each row execute function shop.stamp();
		alter table shop.items enable row level security;
		create policy "only cheap" on shop.items for select to homeroom_tenant using (price < 5);
		create rule quiet as on delete to shop.items where old.price > 90 do instead nothing;
		revoke execute on function shop.twice(integer, text) from public;
		grant update (name) on shop.items to homeroom_tenant with grant option`,
		`drop function shop.stamp() cascade; drop function shop.twice; drop procedure shop.nothing; drop aggregate shop.total(integer);
		drop policy "only cheap" on shop.items; alter table shop.items disable row level security; drop rule quiet on shop.items;
		revoke update (name) on shop.items from homeroom_tenant`,
	},
}

func schemaOf(t *testing.T, server *tenant.Server, id tenant.ID) tenant.Schema {
	t.Helper()
	schema, err := server.Schema(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func referenceOf(t *testing.T, server *tenant.Server) tenant.Schema {
	t.Helper()
	schema, err := server.Reference(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func same(t *testing.T, what string, want, got tenant.Schema) {
	t.Helper()
	for _, difference := range want.Diff(got) {
		t.Errorf("%s: %s", what, difference)
	}
	if want.Fingerprint() != got.Fingerprint() {
		t.Errorf("%s: the fingerprints differ", what)
	}
}

// part returns the first files of a set.
func part(t *testing.T, set *migrations.Set, files [][2]string, n int) *migrations.Set {
	t.Helper()
	if files != nil {
		return load(t, files[:n]...)
	}
	folder := fstest.MapFS{}
	for _, file := range set.Files()[:n] {
		folder[file.Name] = &fstest.MapFile{Data: read(t, "../migrations/tenant/"+file.Name)}
		down := strings.Replace(file.Name, ".up.", ".down.", 1)
		folder[down] = &fstest.MapFile{Data: read(t, "../migrations/tenant/"+down)}
	}
	some, err := migrations.Load(folder)
	if err != nil {
		t.Fatal(err)
	}
	return some
}

// TestAClonedAndAMigratedTenantHaveTheSameFingerprint: at every version, however it was reached, and on two servers.
func TestAClonedAndAMigratedTenantHaveTheSameFingerprint(t *testing.T) {
	t.Parallel()
	for name, files := range map[string][][2]string{"embedded": nil, "own": ownSchema} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			set := migrations.Tenant()
			if files != nil {
				set = load(t, files...)
			}
			servers := make([]*tenant.Server, set.Latest()+1)
			for version := uint(1); version <= set.Latest(); version++ {
				servers[version] = open(t, func(c *tenant.Config) { c.Migrations = part(t, set, files, int(version)) })
			}
			newest := servers[set.Latest()]
			id := tenant.NewID()
			cloned, err := servers[1].Ensure(t.Context(), id, 0, nil)
			if err != nil {
				t.Fatal(err)
			}
			same(t, "a clone", referenceOf(t, servers[1]), schemaOf(t, servers[1], id))
			if cloned.Fingerprint != schemaOf(t, servers[1], id).Fingerprint() {
				t.Error("Ensure returns another fingerprint than that of the clone")
			}
			for version := uint(2); version <= set.Latest(); version++ {
				migrated, err := newest.MigrateTo(t.Context(), id, version)
				if err != nil || migrated.To != version || migrated.From != version-1 {
					t.Fatalf("migrate to %d: %+v, %v", version, migrated, err)
				}
				same(t, fmt.Sprintf("migrated to %d", version), referenceOf(t, servers[version]), schemaOf(t, newest, id))
			}
			if down, err := newest.MigrateDownTo(t.Context(), id, 1); err != nil || down.To != 1 {
				t.Errorf("down to 1: %+v, %v", down, err)
			}
			same(t, "down to 1", referenceOf(t, servers[1]), schemaOf(t, newest, id))
			again, err := newest.Ensure(t.Context(), id, 0, nil)
			if err != nil || again.Fingerprint != referenceOf(t, newest).Fingerprint() {
				t.Errorf("Ensure of an old tenant: %+v, %v", again, err)
			}
			other := openAt(t, pgtest.Private(t, map[string]string{
				"datestyle": "German, DMY", "timezone": "Asia/Tokyo", "quote_all_identifiers": "on", "extra_float_digits": "-5",
			}).URL("postgres"), func(c *tenant.Config) { c.Migrations = set })
			same(t, "another server", referenceOf(t, newest), schemaOf(t, other, ensure(t, other)))
		})
	}
}

// TestTheFingerprintDetectsChanges checks every kind of manual change, and what must not count as a change.
func TestTheFingerprintDetectsChanges(t *testing.T) {
	t.Parallel()
	server := open(t, func(c *tenant.Config) { c.Migrations = load(t, ownSchema...) })
	reference := referenceOf(t, server)
	root := pgtest.Connect(t, rootURL(t, "postgres"))
	exec(t, root, "create role fingerprint_stranger")
	for statement, want := range map[string]string{
		"alter table shop.items alter name drop not null":                                     `column shop.items.name: want "text collate \"C\" not null default 'a\\nb\\\\c'::text", got "text collate \"C\" default`,
		"drop index shop.\"by name\"":                                                         `missing index shop."by name"`,
		"create index more on shop.items (price)":                                             `unexpected index shop.more`,
		"alter table shop.items add check (price < 100)":                                      `unexpected constraint shop.items.items_price_check`,
		"alter domain shop.cents drop constraint not_negative":                                `missing constraint shop.cents.not_negative`,
		"alter table shop.items disable trigger all":                                          `trigger shop.items.stamp`,
		"create table shop.extra ()":                                                          `unexpected table shop.extra`,
		"drop view shop.cheap":                                                                `missing view shop.cheap`,
		"create or replace view shop.cheap as select name from shop.items":                    `view shop.cheap`,
		"drop materialized view shop.counted":                                                 `missing materialized_view shop.counted`,
		"alter sequence shop.tickets increment 7":                                             `sequence_options shop.tickets`,
		"alter type shop.mood add value 'sad'":                                                `enum shop.mood`,
		"alter type shop.address add attribute city text":                                     `unexpected column shop.address.city`,
		"alter policy \"only cheap\" on shop.items using (price < 6)":                         `policy shop.items."only cheap"`,
		"alter table shop.items no force row level security":                                  ``,
		"alter table shop.items disable row level security":                                   `table shop.items: want "row security", got "plain"`,
		"alter table shop.days_2026 set (fillfactor = 71)":                                    `table shop.days_2026`,
		"alter table shop.scratch set logged":                                                 `table shop.scratch: want "unlogged", got "plain"`,
		"alter table shop.specials no inherit shop.items":                                     `missing inheritance shop.specials`,
		"drop rule quiet on shop.items":                                                       `missing rule shop.items.quiet`,
		"alter function shop.twice(integer, text) volatile":                                   `function shop.twice(integer,text)`,
		"create function shop.more(a text) returns text language sql return a":                `unexpected function shop.more(text)`,
		"drop aggregate shop.total(integer)":                                                  `missing aggregate shop.total(integer)`,
		"grant execute on function shop.twice(integer, text) to public":                       `unexpected grants shop.twice(integer,text)`,
		"grant select on shop.items to fingerprint_stranger":                                  `grants shop.items`,
		"grant select (name) on shop.items to fingerprint_stranger":                           `grants shop.items.name`,
		"grant usage on schema shop to public":                                                `grants shop: want "homeroom_tenant: usage", got "homeroom_tenant: usage; public: usage"`,
		"alter table shop.items owner to fingerprint_stranger":                                `table shop.items`,
		"alter default privileges for role homeroom_owner grant select on tables to public":   `default_privileges homeroom_owner.tables`,
		"create extension citext":                                                             `unexpected extension citext`,
		"create event trigger watch on ddl_command_end execute function shop.watch()":         `unexpected event_trigger watch`,
		"comment on table shop.items is 'x'; analyze":                                         ``,
		"create temporary table shop_temp (a int)":                                            ``,
		"insert into shop.scratch default values":                                             ``,
		"select nextval('shop.tickets')":                                                      ``,
		"alter table shop.items add column more int; alter table shop.items drop column more": ``,
	} {
		t.Run(statement, func(t *testing.T) {
			t.Parallel()
			id := ensure(t, server)
			inside := pgtest.Connect(t, rootURL(t, id.Database()))
			if strings.Contains(statement, "event trigger") {
				exec(t, inside, "create function shop.watch() returns event_trigger language plpgsql as 'begin end'")
			}
			exec(t, inside, statement)
			schema := schemaOf(t, server, id)
			_ = inside.Close(t.Context())
			differences := reference.Diff(schema)
			if want == "" {
				same(t, statement, reference, schema)
				return
			}
			if !slices.ContainsFunc(differences, func(d tenant.Difference) bool { return strings.HasPrefix(d.String(), want) }) {
				t.Errorf("want %s, got %v", want, differences)
			}
			if schema.Fingerprint() == reference.Fingerprint() {
				t.Error("the fingerprint is the same")
			}
		})
	}
}

func TestDiffListsMissingAndUnexpectedThings(t *testing.T) {
	t.Parallel()
	want := tenant.Schema{"column public.menus.name text not null", "index public.menus_by_day create index", "table public.a"}
	got := tenant.Schema{"table public.b unlogged", "table public.a", "column public.menus.name text"}
	differences := want.Diff(got)
	lines := make([]string, len(differences))
	for i, difference := range differences {
		lines[i] = difference.String()
	}
	if text := strings.Join(lines, "\n"); text != `column public.menus.name: want "text not null", got "text"
missing index public.menus_by_day
unexpected table public.b` {
		t.Error(text)
	}
	reversed := slices.Clone(want)
	slices.Reverse(reversed)
	if want.Fingerprint() != reversed.Fingerprint() || want.Fingerprint() == got.Fingerprint() || len(want.Fingerprint()) != 32 {
		t.Errorf("fingerprints %s %s %s", want.Fingerprint(), reversed.Fingerprint(), got.Fingerprint())
	}
}

func TestTheTemplateStoresTheReference(t *testing.T) {
	t.Parallel()
	own := pgtest.Private(t, nil)
	root := pgtest.Connect(t, own.URL("postgres"))
	server := openAt(t, own.URL("postgres"), nil)
	reference := referenceOf(t, server)
	name := server.Template()
	if len(reference) < 50 {
		t.Fatalf("the reference has %d lines", len(reference))
	}
	same(t, "read by another process", reference, referenceOf(t, openAt(t, own.URL("postgres"), nil)))
	exec(t, root, "comment on database "+name+" is null")
	before := value[int](t, root, "select oid::int from pg_database where datname = $1", name)
	same(t, "made again", reference, referenceOf(t, openAt(t, own.URL("postgres"), nil)))
	if value[int](t, root, "select oid::int from pg_database where datname = $1", name) == before {
		t.Error("a template without a reference counts as complete")
	}
}
