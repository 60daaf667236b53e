package httpapi_test

import (
	"strings"
	"testing"

	"homeroom/internal/flaky"
)

// TestOutcomes brings the catalog and the provider into a state, and looks at what a caller is told of it.
func TestOutcomes(t *testing.T) {
	t.Parallel()
	const idempotency = "Idempotency-Key: 0123456789abcdef"
	sign := func(w *world) reply {
		return w.call("POST", "/users", form("ada@lincoln.example", "Lincoln High"), idempotency)
	}
	cases := []struct {
		name string
		// before is done to a service on which the sign-up of ask was made already if signedUp, by SQL and by fault.
		signedUp bool
		sql      string
		fault    *flaky.Fault
		ask      func(w *world) reply
		status   int
		code     string
		retry    bool
		shows    string
		hides    []string
		logs     string
	}{
		{
			name: "a sign-up that waits for an operator", signedUp: true, sql: `update signups set status = 'needs_operator'`,
			ask: sign, status: 500, code: "INTERNAL", shows: "operator", hides: []string{"lincoln-high"}, logs: "needs an operator",
		},
		{
			name: "a sign-up in other hands", signedUp: true, sql: `update signups set status = 'pending', check_at = now() + interval '1 hour'`,
			ask: sign, status: 409, code: "IN_PROGRESS", retry: true, shows: "Idempotency-Key",
		},
		{
			name: "a sign-up that is being provisioned", signedUp: true, sql: `update signups set status = 'provisioning', check_at = now() + interval '1 hour'`,
			ask: sign, status: 202, shows: `"status":"provisioning"`,
		},
		{
			name: "no room", sql: `update servers set weight = 0; delete from tenants`,
			ask: sign, status: 503, code: "BUSY", retry: true, hides: []string{"weight", "main"}, logs: "no server has capacity",
		},
		{
			name: "the provider's rate limit", fault: &flaky.Fault{Path: "/api/v2/", Kind: flaky.RateLimited, Times: -1, RetryAfter: 60e9},
			ask: sign, status: 503, code: "BUSY", retry: true, hides: []string{"Auth0", "429"},
		},
		{
			name: "a refused client of the provider", fault: &flaky.Fault{Path: "/oauth/token", Kind: flaky.StatusBefore, Status: 401, Times: -1},
			ask: sign, status: 503, code: "IDENTITY_UNAVAILABLE", retry: true, hides: []string{"secret", "Injected", "401"},
		},
		{
			name: "a tenant that is being deleted", signedUp: true, sql: `update tenants set state = 'deleting'`,
			ask: func(w *world) reply {
				return w.call("POST", "/tenants/lincoln-high/reprovision", "", w.bearer("update:tenants"))
			},
			status: 409, code: "IN_PROGRESS", retry: true,
		},
		{
			name: "a suspended school", signedUp: true, sql: `update tenants set state = 'suspended'`,
			ask:    func(w *world) reply { return w.call("GET", "/me", "", w.first()) },
			status: 403, code: "FORBIDDEN", shows: "suspended",
		},
		{
			name: "a tenant on a server that is not configured", signedUp: true,
			sql:    `insert into servers (name) values ('old'); update tenants set server = 'old'`,
			ask:    func(w *world) reply { return w.call("GET", "/me", "", w.first()) },
			status: 503, code: "BUSY", retry: true, hides: []string{"old", "Servers."}, logs: "Servers.old",
		},
		{
			name: "a defect of ours", signedUp: true, sql: `alter table signups rename column steps to stairs`,
			ask:    func(w *world) reply { return w.call("GET", "/signups/8c1f5a0e-3b0d-4c1e-9d2a-6f0b7c8d9e10", "") },
			status: 500, code: "INTERNAL", shows: "request id", hides: []string{"steps", "SQLSTATE", "column"}, logs: "SQLSTATE 42703",
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := setup(t, options{})
			if c.signedUp {
				equal(t, 201, sign(w).Status)
			}
			if c.sql != "" {
				_, err := w.catalog.Pool().Exec(t.Context(), c.sql)
				check(t, err)
			}
			if c.fault != nil {
				w.auth0.Inject(*c.fault)
			}
			r := c.ask(w)
			equal(t, c.status, r.Status, r.Body)
			if c.code != "" {
				equal(t, c.code, r.code(t), r.Body)
			}
			equal(t, c.retry, r.Header.Get("Retry-After") != "")
			holds(t, r.Body, c.shows)
			lacks(t, strings.ReplaceAll(r.Body, r.Header.Get("X-Request-Id"), ""), c.hides...) // which is random
			holds(t, w.log.String(), c.logs)
			lacks(t, w.log.String(), password)
		})
	}
}

// first is the header with a token of the only user.
func (w *world) first() string { return w.as(w.auth0.Users()[0].ID) }
