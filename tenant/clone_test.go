package tenant_test

import (
	"testing"

	"golang.org/x/sync/errgroup"

	"homeroom/internal/pgtest"
	"homeroom/tenant"
)

// More clones at the same time would take longer in total. The template is locked here, so that none can end.
func TestAFewDatabasesAreClonedAtATime(t *testing.T) {
	t.Parallel()
	server := open(t, func(c *tenant.Config) {
		c.Migrations = load(t, [2]string{"create table few (id int)", "drop table few"})
	})
	if err := server.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	root := pgtest.Connect(t, pgtest.Server(t).URL("postgres"))
	exec(t, root, "begin; comment on database "+server.Template()+" is 'changed, and never committed'")
	const all = tenant.MaxClones + 3 // as many as there are connections
	began := make(chan struct{}, all)
	ids := make([]tenant.ID, all)
	var group errgroup.Group
	for i := range ids {
		ids[i] = tenant.NewID()
		group.Go(func() error {
			_, err := server.Ensure(t.Context(), ids[i], 0, func(steps []tenant.Step) {
				if last := steps[len(steps)-1]; last.Name == tenant.StepDatabase && last.Status == tenant.Running {
					began <- struct{}{}
				}
			})
			return err
		})
	}
	for range all {
		<-began
	}
	found := pgtest.Connect(t, pgtest.Server(t).URL("postgres"))
	for seen := 0; seen < 50; { // after the first check that sees all allowed clones, this many more
		n := value[int](t, found, `
			select count(*) from pg_stat_activity
			where state = 'active' and query like 'create database %' and query like $1`, "% template \""+server.Template()+"\" %")
		if n > tenant.MaxClones {
			t.Fatalf("%d databases are cloned at a time, want %d", n, tenant.MaxClones)
		}
		if n == tenant.MaxClones {
			seen++
		}
	}
	exec(t, root, "rollback")
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		if facts, err := server.Stats(t.Context(), id); err != nil || !facts.Exists {
			t.Errorf("%s: %+v, %v", id, facts, err)
		}
	}
}
