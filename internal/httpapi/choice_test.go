package httpapi_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"homeroom/migrations"
)

func TestPlan(t *testing.T) {
	t.Parallel()
	c := setupCampus(t, 3)
	check(t, c.catalog.SetCanary(t.Context(), c.schools[2].School.ID, true))
	plan := func(body string) map[string]any {
		r := c.call("POST", "/migrations", body, c.token)
		equal(t, 200, r.Status, r.Body)
		return r.json(t)
	}
	all := plan(`{"plan":true,"maxFailures":0,"concurrency":64}`)
	for name, want := range map[string]any{
		"to": 3.0, "down": false, "total": 3.0, "waves": []any{1.0, 2.0}, "canaries": 1.0, "maxFailures": 0.0, "concurrency": 64.0,
		"files": map[string]any{"2": []any{"000003_step.up.sql"}},
	} {
		equal(t, want, all[name], name)
	}
	first := all["tenants"].([]any)[0].(map[string]any)
	equal(t, map[string]any{
		"id": c.schools[2].School.ID.String(), "slug": "school-2", "database": c.schools[2].School.Database, "server": "main", "status": "ready",
		"from": 2.0, "to": 3.0,
	}, first)
	equal(t, []any{3.0}, plan(`{"plan":true,"canaries":0}`)["waves"])
	back := plan(fmt.Sprintf(`{"plan":true,"to":1,"tenants":["school-0",%q]}`, strings.ToUpper(c.schools[1].School.ID.String())))
	equal(t, []any{true, 2.0}, []any{back["down"], back["total"]}, "one by its id, in capitals")
	equal(t, map[string]any{"2": []any{"000002_step.down.sql"}}, back["files"])
	equal(t, 0.0, plan(`{"plan":true,"to":2}`)["total"])
	equal(t, 0.0, plan(`{"to":2}`)["total"], "nothing is behind")
	equal(t, 0, len(c.get("/migrations")["migrations"].([]any)), "nothing was started")
	equal(t, 0, len(c.audited()))
	equal(t, []int{2, 2, 2}, c.versions())
}

func TestChosenTenants(t *testing.T) {
	t.Parallel()
	c := setupCampus(t, 3)
	_, err := c.catalog.Pool().Exec(t.Context(), `update tenants set lineage = 'another' where slug = 'school-2'`)
	check(t, err)
	c.start(`{"tenants":["school-0"]}`)
	truth(t, <-c.work(), "nobody worked")
	many := func(n int) string {
		text, err := json.Marshal(slices.Repeat([]string{"a-slug-that-nobody-has-at-all"}, n))
		check(t, err)
		return string(text)
	}
	for body, fields := range map[string][]string{
		`{"to":4}`:                        {"to unknown"},
		`{"to":0,"concurrency":65}`:       {"to out_of_range", "concurrency out_of_range"},
		`{"to":"3","tenants":"school-0"}`: {"tenants wrong_type", "to wrong_type"},
		`{"to":1.5,"canaries":null,"maxFailures":-1,"plan":1,"dry":true}`: {
			"to wrong_type", "canaries wrong_type", "maxFailures out_of_range", "plan wrong_type", "dry unknown_field",
		},
		`{"tenants":[]}`: {"tenants out_of_range"},
		`{"tenants":["school-1","` + canary + `","","\u0000","school-2"],"to":9}`: {
			"to unknown", "tenants[1] unknown", "tenants[2] unknown", "tenants[3] unknown", "tenants[4] other_schema",
		},
		`{"tenants":["school-0"],"to":1}`:            {"to no_way_back"},
		`{"tenants":["school-0","school-1"],"to":2}`: {"to no_way_back"},
		`{"tenants":` + many(1001) + `}`:             {"tenants out_of_range"},
	} {
		r := c.call("POST", "/migrations", body, c.token)
		equal(t, 422, r.Status, body, r.Body)
		equal(t, fields, fieldCodes(t, r), body)
		lacks(t, r.Body, canary)
	}
	equal(t, 400, c.call("POST", "/migrations", `{"to":3`, c.token).Status)
	equal(t, 415, c.call("POST", "/migrations", `{"to":3}`, c.token, "Content-Type: text/plain").Status)
	equal(t, 1000, len(fieldCodes(t, c.call("POST", "/migrations", `{"tenants":`+many(1000)+`}`, c.token))), "so many fit into a body")
	r := c.call("POST", "/migrations", `{"tenants":`+many(5000)+`}`, c.token)
	equal(t, 413, r.Status)
	holds(t, r.Body, "128 KiB")
	r = c.call("POST", "/tenants/school-2/migrate", "", c.bearer("update:tenants"))
	equal(t, []string{"id other_schema"}, fieldCodes(t, r))
	equal(t, 1, len(c.get("/migrations")["migrations"].([]any)))

	t.Run("above and below at once", func(t *testing.T) {
		c.exec(1, "drop table pupils; create table pupils (name text); update schema_migrations set version = 1")
		_, err := c.catalog.Pool().Exec(t.Context(), `update tenants set schema_version = case slug when 'school-0' then 3 else 1 end where slug <> 'school-2'`)
		check(t, err)
		backwards := c.release(migrationsWithDown(t))
		r := backwards.call("POST", "/migrations", `{"tenants":["school-0","school-1"],"to":2}`, c.token)
		equal(t, []string{"to mixed"}, fieldCodes(t, r), r.Body)
	})
}

// migrationsWithDown is the schema with a way back from version 3.
func migrationsWithDown(t *testing.T) *migrations.Set {
	t.Helper()
	dir := fstest.MapFS{}
	for i, file := range schemaFiles[:3] {
		dir[fmt.Sprintf("%06d_step.up.sql", i+1)] = &fstest.MapFile{Data: []byte(file.up)}
		dir[fmt.Sprintf("%06d_step.down.sql", i+1)] = &fstest.MapFile{Data: []byte("select 1;")}
	}
	set, err := migrations.Load(dir)
	check(t, err)
	return set
}
