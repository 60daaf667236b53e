package httpapi_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"homeroom/fleet"
	"homeroom/tenant"
)

func TestMigrate(t *testing.T) {
	t.Parallel()
	c := setupCampus(t, 5)
	c.exec(2, poison)
	c.exec(4, poison)
	path := c.start(`{"concurrency":1}`)
	run := c.get(path)
	for name, want := range map[string]any{
		"state": "running", "toVersion": 3.0, "direction": "up", "total": 5.0, "done": 0.0, "failed": 0.0, "wave": 1.0, "waves": 2.0,
		"canaries": 1.0, "maxFailures": 3.0, "concurrency": 1.0, "startedBy": "auth0|operator", "tenants": nil, "finishedAt": nil,
	} {
		equal(t, want, run[name], name)
	}
	events := c.follow(path+"/events", c.token)
	first := <-events
	equal(t, "running", first["state"])
	worked := c.work()
	var last map[string]any
	for event := range events {
		last = event
	}
	truth(t, <-worked, "nobody worked")
	equal(t, last, c.get(path), "the last event is the run")
	for name, want := range map[string]any{
		"state": "done", "done": 3.0, "failed": 2.0, "wave": 2.0, "ratePerSecond": nil, "etaSeconds": nil, "problem": nil,
	} {
		equal(t, want, last[name], name)
	}
	truth(t, last["finishedAt"] != nil, last)
	equal(t, []int{3, 3, 2, 3, 2}, c.versions())

	t.Run("failures are told by their cause", func(t *testing.T) {
		failures := last["failures"].([]any)
		equal(t, 1, len(failures))
		failure := failures[0].(map[string]any)
		equal(t, 2.0, failure["tenants"])
		equal(t, []any{"school-2", "school-4"}, failure["examples"])
		holds(t, failure["problem"].(string), "000003_step.up.sql:1", "null values")
		lacks(t, failure["problem"].(string), "t_")
	})
	t.Run("outcomes are listed", func(t *testing.T) {
		var slugs []string
		for query := "?limit=2"; query != ""; {
			page := c.get(path + "/outcomes" + query)
			for _, entry := range page["outcomes"].([]any) {
				slugs = append(slugs, entry.(map[string]any)["slug"].(string))
			}
			query = ""
			if next, ok := page["nextCursor"].(string); ok {
				query = "?limit=2&cursor=" + url.QueryEscape(next)
			}
		}
		equal(t, []string{"school-0", "school-1", "school-2", "school-3", "school-4"}, slugs)
		failed := c.get(path + "/outcomes?state=failed")["outcomes"].([]any)
		equal(t, 2, len(failed))
		outcome := failed[0].(map[string]any)
		equal(t, []any{"failed", 2.0, 2.0, nil}, []any{outcome["state"], outcome["fromVersion"], outcome["toVersion"], outcome["passing"]})
		holds(t, outcome["problem"].(string), "null values")
		equal(t, 3, len(c.get(path + "/outcomes?state=done")["outcomes"].([]any)))
		for query, field := range map[string]string{
			"?state=gone": "state invalid_choice", "?limit=1001": "limit out_of_range", "?cursor=" + canary: "cursor invalid_format",
		} {
			r := c.call("GET", path+"/outcomes"+query, "", c.token)
			equal(t, []string{field}, fieldCodes(t, r))
			lacks(t, r.Body, canary)
		}
	})
	t.Run("a stream does not begin again after the last event", func(t *testing.T) {
		whole := c.call("GET", path+"/events", "", c.token).Body
		truth(t, strings.HasPrefix(whole, "event: migration\nid: final\ndata: {"), whole)
		equal(t, 1, strings.Count(whole, "data: "))
		equal(t, 204, c.call("GET", path+"/events", "", c.token, "Last-Event-ID: final").Status)
	})
	t.Run("a run that is over stays so", func(t *testing.T) {
		for _, verb := range []string{"pause", "resume", "abort"} {
			r := c.call("POST", path+"/"+verb, "", c.token)
			equal(t, 422, r.Status, r.Body)
			equal(t, []string{"id wrong_state"}, fieldCodes(t, r))
			holds(t, r.Body, "The run is done")
		}
		equal(t, 1, len(c.audited()), "just the start: ", c.audited())
		equal(t, "done", c.get(path)["state"])
	})
	t.Run("a quarantined tenant has a way back of its own", func(t *testing.T) {
		tenant := c.call("GET", "/tenants/school-2", "", c.bearer("read:tenants")).json(t)
		equal(t, []any{"quarantined", "migration", false, nil}, []any{tenant["status"], tenant["problemKind"], tenant["canary"], tenant["heldAt"]})
		holds(t, tenant["problem"].(string), "null values")
		c.exec(2, "delete from pupils")
		r := c.call("POST", "/tenants/school-2/migrate", "", c.bearer("update:tenants"))
		equal(t, 202, r.Status, r.Body)
		equal(t, []any{"school-2"}, r.json(t)["tenants"])
		truth(t, <-c.work(), "nobody worked")
		equal(t, "ready", c.call("GET", "/tenants/school-2", "", c.bearer("read:tenants")).json(t)["status"])
		equal(t, []int{3, 3, 3, 3, 2}, c.versions())
		events, err := c.catalog.Events(t.Context(), c.schools[2].School.ID, 1)
		check(t, err)
		equal(t, "migration.start", events[0].Action)
		equal(t, r.Header.Get("X-Request-Id"), *events[0].RequestID)

		r = c.call("POST", "/tenants/school-2/migrate", "{}", c.bearer("update:tenants"))
		equal(t, 200, r.Status, "it is up to date: ", r.Body)
		equal(t, 0.0, r.json(t)["total"])
		equal(t, 404, c.call("POST", "/tenants/nobody/migrate", "", c.bearer("update:tenants")).Status)
		r = c.call("POST", "/tenants/school-4/migrate", `{"to":1}`, c.bearer("update:tenants"))
		equal(t, []string{"to unknown_field"}, fieldCodes(t, r))
	})
	t.Run("runs are listed newest first, in pages", func(t *testing.T) {
		page := c.get("/migrations?limit=1")
		equal(t, []any{"school-2"}, c.get("/migrations/" + page["migrations"].([]any)[0].(map[string]any)["id"].(string))["tenants"])
		next := c.get("/migrations?limit=1&cursor=" + page["nextCursor"].(string))
		entry := next["migrations"].([]any)[0].(map[string]any)
		equal(t, path, "/migrations/"+entry["id"].(string))
		equal(t, []any{5.0, 3.0, 2.0, "done"}, []any{entry["total"], entry["done"], entry["failed"], entry["state"]})
		equal(t, nil, next["nextCursor"])
		equal(t, []string{"cursor invalid_format"}, fieldCodes(t, c.call("GET", "/migrations?cursor="+canary, "", c.token)))
		equal(t, []string{"limit out_of_range"}, fieldCodes(t, c.call("GET", "/migrations?limit=201", "", c.token)))
	})
}

func TestPauseAndResume(t *testing.T) {
	t.Parallel()
	c := setupCampus(t, 5)
	release := c.hold(1) // so that the second wave waits until the pause is seen
	path := c.start(``)
	worked := c.work()
	for event := range c.follow(path+"/events", c.token) {
		if event["done"] == 1.0 {
			break
		}
	}
	paused := c.call("POST", path+"/pause", "", c.token)
	equal(t, 200, paused.Status, paused.Body)
	equal(t, []any{"paused", "auth0|operator"}, []any{paused.json(t)["state"], paused.json(t)["changedBy"]})
	equal(t, 200, c.call("POST", path+"/pause", "", c.token).Status, "again")
	truth(t, <-worked, "nobody worked")
	release()
	truth(t, !<-c.work(), "a paused run was worked on")
	equal(t, []int{3, 2, 2, 2, 2}, c.versions())

	t.Run("it is in the way of others", func(t *testing.T) {
		for _, r := range []reply{
			c.call("POST", "/migrations", "", c.token),
			c.call("POST", "/tenants/school-3/migrate", "", c.bearer("update:tenants")),
		} {
			equal(t, 409, r.Status, r.Body)
			equal(t, "IN_PROGRESS", r.code(t))
			equal(t, "", r.Header.Get("Retry-After"), "waiting is no use")
			holds(t, r.Body, strings.TrimPrefix(path, "/migrations/"), "is paused, with 1 of 5")
		}
		equal(t, 200, c.call("POST", "/migrations", `{"plan":true}`, c.token).Status, "a plan is no run")
	})
	resumed := c.call("POST", path+"/resume", "", c.token)
	equal(t, "running", resumed.json(t)["state"], resumed.Body)
	r := c.call("POST", "/migrations", "", c.token)
	equal(t, 409, r.Status, r.Body)
	holds(t, r.Body, "is running")
	truth(t, r.Header.Get("Retry-After") != "")
	truth(t, <-c.work(), "nobody worked")
	run := c.get(path)
	equal(t, []any{"done", 5.0, 0.0}, []any{run["state"], run["done"], run["failed"]})
	equal(t, []int{3, 3, 3, 3, 3}, c.versions())
	id := strings.TrimPrefix(path, "/migrations/")
	audited := c.audited()
	equal(t, 3, len(audited), audited)
	for i, verb := range []string{"start", "pause", "resume"} {
		holds(t, audited[i], "migration."+verb+" by auth0|operator of "+id)
	}
	holds(t, audited[1], paused.Header.Get("X-Request-Id"))
}

func TestAbort(t *testing.T) {
	t.Parallel()
	c := setupCampus(t, 2)
	path := c.start(`{"tenants":["school-0","school-1"]}`)
	r := c.call("POST", path+"/abort", "", c.token)
	equal(t, 200, r.Status, r.Body)
	for range 2 {
		equal(t, "aborted", r.json(t)["state"])
		holds(t, r.Body, "aborted by auth0|operator", `"tenants":["school-0","school-1"]`)
		r = c.call("POST", path+"/abort", "", c.token)
		equal(t, 200, r.Status, r.Body)
	}
	truth(t, !<-c.work(), "an aborted run was worked on")
	equal(t, []int{2, 2}, c.versions())
	equal(t, 422, c.call("POST", path+"/resume", "", c.token).Status)
	equal(t, 2, len(c.audited()), c.audited())
	for _, path := range []string{"/migrations/nobody", "/migrations/" + strings.Repeat("0", 32), "/migrations/8c1f5a0e-3b0d-4c1e-9d2a-6f0b7c8d9e10"} {
		for _, call := range []string{"GET ", "GET /events", "GET /outcomes", "POST /pause", "POST /resume", "POST /abort"} {
			method, rest, _ := strings.Cut(call, " ")
			equal(t, 404, c.call(method, path+rest, "", c.token).Status, call)
		}
	}
}

func TestAFileThatCannotRunStartsNothing(t *testing.T) {
	t.Parallel()
	c := setupCampus(t, 1)
	broken := c.release(schema(t, 4))
	r := broken.call("POST", "/migrations", "", c.token)
	equal(t, 422, r.Status, r.Body)
	equal(t, []string{"to migration_failed"}, fieldCodes(t, r))
	holds(t, r.Body, "000004_step.up.sql, line 2", `relation \"nobody\" does not exist`)
	lacks(t, r.Body, "alter table", "homeroom_template")
	equal(t, 0, len(c.get("/migrations")["migrations"].([]any)))
	equal(t, []int{2}, c.versions())
}

// TestASchoolThatIsUsedComesFirst looks at /me while its database is behind.
func TestASchoolThatIsUsedComesFirst(t *testing.T) {
	t.Parallel()
	c := setupCampus(t, 3)
	me := func(n int) reply { return c.call("GET", "/me", "", c.as(c.schools[n].User.IdentityID)) }
	wanted := func(n int) *time.Time {
		row, err := c.catalog.TenantByID(t.Context(), c.schools[n].School.ID)
		check(t, err)
		return row.WantedAt
	}
	_, err := c.catalog.Pool().Exec(t.Context(), `update tenants set held_at = 2 where slug = 'school-1'`)
	check(t, err)
	equal(t, 200, me(1).Status)
	r := me(2)
	equal(t, 200, r.Status, r.Body)
	equal(t, 2.0, r.json(t)["database"].(map[string]any)["schemaVersion"], "it is served as it is")
	eventually(t, func() bool { return wanted(2) != nil }, "nobody asked for it")
	at := *wanted(2)
	equal(t, 200, me(2).Status)
	equal(t, at, *wanted(2), "once is enough")
	equal(t, (*time.Time)(nil), wanted(1), "it is held where it is")

	plan := c.call("POST", "/migrations", `{"plan":true}`, c.token).json(t)["tenants"].([]any)
	equal(t, "school-2", plan[0].(map[string]any)["slug"])
	held := c.call("GET", "/tenants/school-1", "", c.bearer("read:tenants")).json(t)
	equal(t, 2.0, held["heldAt"])
	c.start(``)
	truth(t, <-c.work(), "nobody worked")
	equal(t, (*time.Time)(nil), wanted(2))
	equal(t, []int{3, 2, 3}, c.versions())
	equal(t, 200, me(2).Status)
	equal(t, (*time.Time)(nil), wanted(2), "it is up to date")
}

func TestNothingIsSaidOfAServerThatIsAway(t *testing.T) {
	t.Parallel()
	w := setup(t, options{migrations: schema(t, 2)})
	away, err := tenant.Open(tenant.Config{Name: "away", URL: "postgres://homeroom@127.0.0.1:1/postgres", Key: key, Migrations: schema(t, 2)})
	check(t, err)
	t.Cleanup(away.Close)
	w.config.Servers = tenant.Servers{"main": w.server, "away": away}
	w.config.Fleet, err = fleet.New(fleet.Config{Catalog: w.catalog, Servers: fleet.OnServers(w.config.Servers)})
	check(t, err)
	w.handler, err = w.config.handler()
	check(t, err)
	w.serve(options{})
	r := w.call("POST", "/migrations", "", w.bearer("migrate:tenants"))
	equal(t, 503, r.Status, r.Body)
	equal(t, "BUSY", r.code(t))
	truth(t, r.Header.Get("Retry-After") != "")
	lacks(t, r.Body, "127.0.0.1", "away")
	holds(t, w.log.String(), "127.0.0.1")
}
