package httpapi_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"homeroom/internal/pgtest"
)

func TestListTenants(t *testing.T) {
	t.Parallel()
	w := setup(t, options{})
	read := w.bearer("read:tenants")
	list := func(query string) []any {
		r := w.call("GET", "/tenants"+query, "", read)
		equal(t, 200, r.Status, r.Body)
		return r.json(t)["tenants"].([]any)
	}
	equal(t, 0, len(list("")), "spares are not listed")
	spares := list("?status=spare")
	equal(t, 1, len(spares))
	lacks(t, fmt.Sprint(spares[0]), "slug", "name:")

	w.signUp("ada@lincoln.example", "Lincoln High")
	w.signUp("bob@oak.example", "Oak Street School")
	w.signUp("eve@lincoln.example", "Lincoln Low")
	all := list("")
	equal(t, 3, len(all))
	entry := all[0].(map[string]any)
	equal(t, "lincoln-low", entry["slug"], "newest first")
	for _, name := range []string{"id", "name", "slug", "database", "server", "status", "schemaVersion", "createdAt", "readyAt"} {
		truth(t, entry[name] != nil, "no ", name, " in ", entry)
	}
	lacks(t, fmt.Sprint(entry), "password", "rotation")
	equal(t, 2, len(list("?q=linc")))
	equal(t, 0, len(list("?q=%25")), "the text is no pattern")
	equal(t, 3, len(list("?status=ready&server=main&version=4")))
	equal(t, 0, len(list("?version=3")))

	t.Run("in pages", func(t *testing.T) {
		var slugs []string
		for query := "?limit=1"; query != ""; {
			page := w.call("GET", "/tenants"+query, "", read).json(t)
			for _, tenant := range page["tenants"].([]any) {
				slugs = append(slugs, tenant.(map[string]any)["slug"].(string))
			}
			query = ""
			if next, ok := page["nextCursor"].(string); ok {
				query = "?limit=1&cursor=" + url.QueryEscape(next)
			}
		}
		equal(t, []string{"lincoln-low", "oak-street-school", "lincoln-high"}, slugs)
	})
	t.Run("refuses what it does not understand", func(t *testing.T) {
		for query, field := range map[string]string{
			"?status=gone": "status invalid_choice", "?limit=0": "limit out_of_range", "?limit=201": "limit out_of_range",
			"?limit=many": "limit wrong_type", "?version=-1": "version wrong_type", "?cursor=" + canary: "cursor invalid_format",
			"?cursor=%00": "cursor invalid_characters", "?stauts=ready": "stauts unknown_field", "?q=" + strings.Repeat("a", 201): "q too_long",
			"?q=a%00": "q invalid_characters", "?server=%ff": "server invalid_characters", "?%ff=1": "? invalid_characters",
		} {
			r := w.call("GET", "/tenants"+query, "", read)
			equal(t, 422, r.Status, query, r.Body)
			equal(t, []string{field}, fieldCodes(t, r), query)
			lacks(t, r.Body, canary)
		}
		equal(t, 2, len(fieldCodes(t, w.call("GET", "/tenants?limit=0&status=gone", "", read))))
	})
}

func TestGetTenant(t *testing.T) {
	t.Parallel()
	w := setup(t, options{})
	school := w.signUp("ada@lincoln.example", "Lincoln High").School
	for _, name := range []string{school.ID.String(), "lincoln-high", school.Database} {
		r := w.call("GET", "/tenants/"+name, "", w.bearer("read:tenants"))
		equal(t, 200, r.Status, r.Body)
		body := r.json(t)
		equal(t, school.ID.String(), body["id"])
		truth(t, body["sizeBytes"].(float64) > 1<<20, body)
		equal(t, float64(0), body["connections"])
		equal(t, 4, len(body["steps"].([]any)))
		equal(t, nil, body["warning"])
	}
	for _, name := range []string{"nobody", school.ID.String()[:35], "%00", "..%2Fusers", strings.Repeat("x", 101)} {
		r := w.call("GET", "/tenants/"+name, "", w.bearer("read:tenants"))
		truth(t, r.Status == 404 || r.Status == 422, name, r.Body)
	}
}

func TestReprovision(t *testing.T) {
	t.Parallel()
	w := setup(t, options{})
	school := w.signUp("ada@lincoln.example", "Lincoln High").School
	update := w.bearer("update:tenants")
	path := "/tenants/lincoln-high/reprovision"

	r := w.call("POST", path, "", update, "Content-Type:")
	equal(t, 202, r.Status, r.Body)
	equal(t, "/tenants/"+school.ID.String(), r.Header.Get("Location"))
	equal(t, []any{}, r.json(t)["steps"])
	lacks(t, r.Body, "keptDatabase")
	check(t, w.queue.run(t.Context(), w.signup))
	body := w.call("GET", "/tenants/lincoln-high", "", w.bearer("read:tenants")).json(t)
	equal(t, "ready", body["status"])
	equal(t, 4, len(body["steps"].([]any)))

	for text, fields := range map[string][]string{
		`{"fresh":true}`:                           {"confirm mismatch"},
		`{"fresh":true,"confirm":"lincoln"}`:       {"confirm mismatch"},
		`{"fresh":"yes","confirm":7,"drop":true}`:  {"fresh wrong_type", "confirm wrong_type", "drop unknown_field"},
		`{"fresh":true,"confirm":"Lincoln-High "}`: {"confirm mismatch"},
	} {
		r := w.call("POST", path, text, update)
		equal(t, 422, r.Status, text, r.Body)
		equal(t, fields, fieldCodes(t, r), text)
	}
	equal(t, 400, w.call("POST", path, `{"fresh":true`, update).Status)
	equal(t, 415, w.call("POST", path, `{"fresh":true}`, update, "Content-Type: text/plain").Status)
	equal(t, 404, w.call("POST", "/tenants/nobody/reprovision", "", update).Status)

	r = w.call("POST", path, `{"fresh":true,"confirm":"lincoln-high"}`, update)
	equal(t, 202, r.Status, r.Body)
	kept := r.json(t)["keptDatabase"].(string)
	check(t, w.queue.run(t.Context(), w.signup))
	var databases int
	conn := pgtest.Connect(t, pgtest.Server(t).URL("postgres"))
	check(t, conn.QueryRow(t.Context(), `select count(*) from pg_database where datname in ($1, $2)`, kept, school.Database).Scan(&databases))
	equal(t, 2, databases, "the old database is kept, and there is a new one")

	events, err := w.catalog.Events(t.Context(), school.ID, 10)
	check(t, err)
	equal(t, "tenant.reprovision", events[0].Action)
	equal(t, "auth0|operator", events[0].Actor)
	equal(t, r.Header.Get("X-Request-Id"), *events[0].RequestID)
}

// A tenant that other migrations have made is refused, and nothing is begun.
func TestReprovisionOfAnotherSchema(t *testing.T) {
	t.Parallel()
	w := setup(t, options{})
	school := w.signUp("ada@lincoln.example", "Lincoln High").School
	_, err := w.catalog.Pool().Exec(t.Context(), "update tenants set lineage = 'other' where id = $1", school.ID)
	check(t, err)
	r := w.call("POST", "/tenants/lincoln-high/reprovision", "", w.bearer("update:tenants"))
	equal(t, 409, r.Status, r.Body)
	equal(t, "OTHER_SCHEMA", r.json(t)["code"])
	lacks(t, r.Body, "TenantMigrations")
	events, err := w.catalog.Events(t.Context(), school.ID, 10)
	check(t, err)
	truth(t, len(events) > 0 && events[0].Action != "tenant.reprovision", "it was begun", events)
	equal(t, 200, w.call("GET", "/problems/other-schema", "").Status)
}

func TestRotate(t *testing.T) {
	t.Parallel()
	w := setup(t, options{})
	school := w.signUp("ada@lincoln.example", "Lincoln High").School
	path := "/tenants/lincoln-high/rotate"
	equal(t, 403, w.call("POST", path, "", w.bearer("read:tenants")).Status, "reading is not changing")
	for i, text := range []string{"", `{}`, `{"endSessions":true}`} {
		r := w.call("POST", path, text, w.bearer("update:tenants"))
		equal(t, 202, r.Status, r.Body)
		equal(t, "/tenants/"+school.ID.String(), r.Header.Get("Location"))
		lacks(t, r.Body, "password", "rotation")
		row, err := w.catalog.TenantByID(t.Context(), school.ID)
		check(t, err)
		equal(t, i+1, row.PasswordRotation)
	}
	r := w.call("POST", path, `{"endSessions":"yes","drop":1}`, w.bearer("update:tenants"))
	equal(t, 422, r.Status, r.Body)
	equal(t, []string{"endSessions wrong_type", "drop unknown_field"}, fieldCodes(t, r))
	equal(t, 404, w.call("POST", "/tenants/nobody/rotate", "", w.bearer("update:tenants")).Status)
	equal(t, 200, w.call("GET", "/me", "", w.first()).Status)
}
