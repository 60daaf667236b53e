package httpapi_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/jackc/pgx/v5"

	"homeroom/internal/pgtest"
	"homeroom/migrations"
	"homeroom/signup"
)

// schemaFiles are versions of a schema. The third fails where there is a pupil without a name, the fourth everywhere.
var schemaFiles = []struct{ up, down string }{
	{"create table pupils (name text);", "drop table pupils;"},
	{"alter table pupils add column class text;", "alter table pupils drop column class;"},
	{"alter table pupils alter column name set not null;", ""},
	{"-- A comment.\nalter table nobody add column class text;", ""},
}

// schema is the set of the first n.
func schema(t *testing.T, n int) *migrations.Set {
	t.Helper()
	dir := fstest.MapFS{}
	for i, file := range schemaFiles[:n] {
		dir[fmt.Sprintf("%06d_step.up.sql", i+1)] = &fstest.MapFile{Data: []byte(file.up)}
		if file.down != "" {
			dir[fmt.Sprintf("%06d_step.down.sql", i+1)] = &fstest.MapFile{Data: []byte(file.down)}
		}
	}
	set, err := migrations.Load(dir)
	check(t, err)
	return set
}

// campus is schools at version 2, and the service of a program that has version 3 too.
type campus struct {
	*world
	schools []signup.Result
	token   string
}

func setupCampus(t *testing.T, schools int) *campus {
	t.Helper()
	old := setup(t, options{noSpare: true, migrations: schema(t, 2)})
	c := &campus{}
	for n := range schools {
		c.schools = append(c.schools, old.signUp(fmt.Sprintf("ada@school%d.example", n), fmt.Sprintf("School %d", n)))
	}
	c.world = old.release(schema(t, 3))
	c.token = c.bearer("migrate:tenants")
	return c
}

// release is the service of a program with other migrations, on the same catalog.
func (w *world) release(set *migrations.Set) *world {
	w.t.Helper()
	next := *w
	next.config.Servers = next.openServers(pgtest.Server(w.t), set, w.config.Logger)
	next.config.Fleet = next.fleet
	var err error
	next.handler, err = next.config.handler()
	check(w.t, err)
	next.serve(options{})
	return &next
}

// exec runs a statement in a school's database.
func (c *campus) exec(n int, sql string) {
	c.t.Helper()
	pgtest.Exec(c.t, pgtest.Server(c.t).URL(c.schools[n].School.Database), sql)
}

const poison = "insert into pupils (name) values (null)"

// versions are what the schools' own databases say.
func (c *campus) versions() []int {
	c.t.Helper()
	all := make([]int, len(c.schools))
	for n, school := range c.schools {
		conn := pgtest.Connect(c.t, pgtest.Server(c.t).URL(school.School.Database))
		check(c.t, conn.QueryRow(c.t.Context(), "select version from schema_migrations where not dirty").Scan(&all[n]))
		check(c.t, conn.Close(c.t.Context()))
	}
	return all
}

// hold locks the table of the schools from the given one on, so that their migrations wait. release ends that.
func (c *campus) hold(from int) (release func()) {
	c.t.Helper()
	var conns []*pgx.Conn
	for _, school := range c.schools[from:] {
		conn := pgtest.Connect(c.t, pgtest.Server(c.t).URL(school.School.Database))
		_, err := conn.Exec(c.t.Context(), "begin; lock table pupils in access share mode")
		check(c.t, err)
		conns = append(conns, conn)
	}
	release = sync.OnceFunc(func() {
		for _, conn := range conns {
			// A migration that was given up may wait on for a moment, and would get the lock.
			const waiting = `select exists (
				select from pg_locks where not granted and database = (select oid from pg_database where datname = current_database()))`
			for more := true; more; {
				if err := conn.QueryRow(context.WithoutCancel(c.t.Context()), waiting).Scan(&more); err != nil {
					c.t.Error(err)
					break
				}
			}
			_ = conn.Close(context.WithoutCancel(c.t.Context()))
		}
	})
	c.t.Cleanup(release)
	return release
}

// work does the open run beside the test, as a service does.
func (c *campus) work() (worked <-chan bool) {
	ended := make(chan bool, 1)
	go func() {
		worked, err := c.fleet.Work(c.t.Context())
		if err != nil {
			c.t.Error(err)
		}
		ended <- worked
	}()
	return ended
}

// start opens a run and returns its path.
func (c *campus) start(body string) string {
	c.t.Helper()
	r := c.call("POST", "/migrations", body, c.token)
	equal(c.t, 202, r.Status, r.Body)
	path := r.Header.Get("Location")
	equal(c.t, "/migrations/"+r.json(c.t)["id"].(string), path)
	return path
}

func (c *campus) get(path string) map[string]any {
	c.t.Helper()
	r := c.call("GET", path, "", c.token)
	equal(c.t, 200, r.Status, r.Body)
	return r.json(c.t)
}

// audited lists what the audit knows of runs, oldest first.
func (c *campus) audited() []string {
	c.t.Helper()
	rows, err := c.catalog.Pool().Query(c.t.Context(), `
		select action || ' by ' || actor || ' of ' || (details->>'migration') || ' in ' || request_id
		from audit_events where action like 'migration.%' order by id`)
	check(c.t, err)
	events, err := pgx.CollectRows(rows, pgx.RowTo[string])
	check(c.t, err)
	return events
}
