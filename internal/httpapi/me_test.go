package httpapi_test

import (
	"testing"

	"homeroom/auth0/auth0test"
	"homeroom/catalog"
	"homeroom/internal/pgtest"
)

// as is the header with a token of this person.
func (w *world) as(subject string) string {
	return "Authorization: Bearer " + w.auth0.IssueToken(auth0test.TokenRequest{Subject: subject})
}

func TestMe(t *testing.T) {
	t.Parallel()
	w := setup(t, options{})
	made := w.signUp("ada@lincoln.example", "Lincoln High")
	me := w.as(made.User.IdentityID)
	r := w.call("GET", "/me", "", me)
	equal(t, 200, r.Status, r.Body)
	body := r.json(t)
	equal(t, "ada@lincoln.example", body["user"].(map[string]any)["email"])
	equal(t, "owner", body["user"].(map[string]any)["role"])
	equal(t, made.School.ID.String(), body["school"].(map[string]any)["id"])
	equal(t, "ready", body["school"].(map[string]any)["status"])
	database := body["database"].(map[string]any)
	equal(t, float64(4), database["schemaVersion"])
	tables := database["tables"].(float64)
	truth(t, tables >= 3 && database["sizeBytes"].(float64) > 1<<20, database)

	t.Run("the figures come from the school's own database", func(t *testing.T) {
		conn := pgtest.Connect(t, pgtest.Server(t).URL(made.School.Database))
		_, err := conn.Exec(t.Context(), `create schema "Own"; create table "Own".extra (n int); create view v as select 1;
			create table parts (n int) partition by range (n); create table part partition of parts for values from (0) to (9)`)
		check(t, err)
		database := w.call("GET", "/me", "", me).json(t)["database"].(map[string]any)
		equal(t, tables+2, database["tables"])
		_, err = conn.Exec(t.Context(), `drop table schema_migrations`)
		check(t, err)
		r := w.call("GET", "/me", "", me)
		equal(t, 200, r.Status, "works with any schema: ", r.Body)
		equal(t, nil, r.json(t)["database"].(map[string]any)["schemaVersion"])
	})
	t.Run("a stranger has no school", func(t *testing.T) {
		r := w.call("GET", "/me", "", w.as("auth0|stranger"))
		equal(t, 404, r.Status)
		holds(t, r.Body, "belongs to no school")
	})
	t.Run("a quarantined school tells no cause", func(t *testing.T) {
		check(t, w.catalog.Quarantine(t.Context(), made.School.ID, catalog.MigrationFailed, "migration 5 failed: secret detail"))
		r := w.call("GET", "/me", "", me)
		equal(t, 503, r.Status, r.Body)
		equal(t, "BUSY", r.code(t))
		truth(t, r.Header.Get("Retry-After") != "")
		lacks(t, r.Body, "secret detail", "migration")
		holds(t, r.Body, "could not be brought to the newest version")
		holds(t, w.call("GET", "/tenants/lincoln-high", "", w.bearer("read:tenants")).Body, "secret detail", `"quarantined"`, `"problemKind":"migration"`)
		for kind, text := range map[catalog.QuarantineKind]string{
			catalog.SchemaUnknown: "not as it should be", catalog.DatabaseUnusable: "cannot be found", catalog.BeingReplaced: "replaced by a new one",
		} {
			check(t, w.catalog.Quarantine(t.Context(), made.School.ID, kind, "secret detail"))
			r := w.call("GET", "/me", "", me)
			equal(t, "BUSY", r.code(t))
			holds(t, r.Body, text)
			lacks(t, r.Body, "secret detail")
		}
		check(t, w.catalog.MarkHealthy(t.Context(), made.School.ID, catalog.Health{Version: 4}))
		equal(t, 200, w.call("GET", "/me", "", me).Status)
	})
	t.Run("a database that is away is no fault of ours", func(t *testing.T) {
		pgtest.Exec(t, pgtest.Server(t).URL("postgres"), `drop database "`+made.School.Database+`" with (force)`)
		r := w.call("GET", "/me", "", me)
		equal(t, 503, r.Status, r.Body)
		equal(t, "BUSY", r.code(t))
		lacks(t, r.Body, made.School.Database, "FATAL", "127.0.0.1")
		body := w.call("GET", "/tenants/lincoln-high", "", w.bearer("read:tenants")).json(t)
		truth(t, body["warning"] != nil && body["sizeBytes"] == nil, body)
	})
}
