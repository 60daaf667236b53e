package tenant_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"homeroom/internal/pgtest"
	"homeroom/tenant"
)

// codes returns the codes of warnings about a server; those that refuse it have an exclamation mark.
func codes(t *testing.T, server *tenant.Server, expected tenant.CheckOptions) string {
	t.Helper()
	warnings, err := server.Check(t.Context(), expected)
	if err != nil {
		t.Fatal(err)
	}
	lines := make([]string, len(warnings))
	for i, remark := range warnings {
		lines[i] = remark.Code
		if remark.Refuse {
			lines[i] += "!"
		}
		if remark.Problem == "" || remark.Fix == "" {
			t.Errorf("%s lacks its problem or its fix", remark.Code)
		}
	}
	return strings.Join(lines, " ")
}

func TestCheckWarnsOfMissingPrivileges(t *testing.T) {
	t.Parallel()
	own := pgtest.Private(t, nil)
	root := pgtest.Connect(t, own.URL("postgres"))
	exec(t, root, tenant.FreeDiskFunction)
	tooMuch := tenant.WarnCreateRole + "! "
	if value[int](t, root, "select current_setting('server_version_num')::int") >= 160000 {
		tooMuch = ""
	}
	for role, want := range map[string]string{
		"login createdb createrole": tooMuch + "no-signal no-stats open-functions open-to-public disk-unknown",
		"login createrole":          tooMuch + "no-createdb! no-signal no-stats open-functions open-to-public disk-unknown",
		"login createdb":            "no-createrole! no-signal no-stats open-functions open-to-public disk-unknown",
	} {
		name := strings.ReplaceAll(role, " ", "_")
		exec(t, root, "create role "+name+" "+role+" password 'secret'")
		address := withUser(t, own.URL("postgres"), name, "secret")
		server := openAt(t, address, func(c *tenant.Config) { c.MinFreeDisk = 1 })
		if got := codes(t, server, tenant.CheckOptions{}); got != want {
			t.Errorf("%s: %q, want %q", role, got, want)
		}
	}
	// Without a configured minimum there is no warning that the free disk is unknown.
	address := withUser(t, own.URL("postgres"), "login_createdb", "secret")
	if got := codes(t, openAt(t, address, nil), tenant.CheckOptions{}); strings.Contains(got, "disk") {
		t.Errorf("without a minimum: %q", got)
	}
	if got := codes(t, openAt(t, own.URL("postgres"), nil), tenant.CheckOptions{}); got != "superuser!" {
		t.Errorf("a superuser: %q", got)
	}
	// Do what the warnings advise.
	server := openAt(t, withUser(t, own.URL("postgres"), "login_createdb_createrole", "secret"), func(c *tenant.Config) { c.MinFreeDisk = 1 })
	warnings, err := server.Check(t.Context(), tenant.CheckOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, remark := range warnings {
		switch remark.Code {
		case tenant.WarnCreateRole:
		case tenant.WarnDiskUnknown:
			_, statement, _ := strings.Cut(remark.Fix, "then: ")
			exec(t, root, statement)
		case tenant.WarnPublicFunctions:
			pgtest.Script(t, own.URL, "../examples/provisioner.sql")
		default:
			exec(t, root, remark.Fix)
		}
	}
	again := openAt(t, withUser(t, own.URL("postgres"), "login_createdb_createrole", "secret"), nil)
	if got := codes(t, again, tenant.CheckOptions{}); got != strings.TrimSpace(tooMuch) {
		t.Errorf("after the advice of the warnings: %q", got)
	}
}

func TestCheckWarnsOfServerSettings(t *testing.T) {
	t.Parallel()
	own := pgtest.Private(t, map[string]string{"max_connections": "40", "superuser_reserved_connections": "3"})
	server := openAt(t, own.URL("postgres"), nil)
	for difference, want := range map[time.Duration]string{0: "superuser!", time.Minute: "superuser! clock", -time.Minute: "superuser! clock"} {
		now := func() time.Time { return time.Now().Add(difference) }
		if got := codes(t, server, tenant.CheckOptions{Now: now}); got != want {
			t.Errorf("a clock %s off: %q, want %q", difference, got, want)
		}
	}
	prepares := openAt(t, pgtest.Private(t, map[string]string{"max_prepared_transactions": "5"}).URL("postgres"), nil)
	if got := codes(t, prepares, tenant.CheckOptions{}); got != "superuser! prepared-transactions" {
		t.Errorf("prepared transactions: %q", got)
	}
	for connections, want := range map[int]string{37: "superuser!", 38: "superuser! few-connections"} {
		if got := codes(t, server, tenant.CheckOptions{Connections: connections}); got != want {
			t.Errorf("%d connections: %q, want %q", connections, got, want)
		}
	}
	low := openAt(t, own.URL("postgres"), func(c *tenant.Config) { c.MinFreeDisk = math.MaxInt64 })
	if got := codes(t, low, tenant.CheckOptions{}); got != "superuser! disk-low" {
		t.Errorf("below the minimum: %q", got)
	}
}

func TestCheckWarnsOfASlowRecovery(t *testing.T) {
	t.Parallel()
	for method, want := range map[string]string{"fsync": "superuser! slow-recovery", "syncfs": "superuser!"} {
		own := pgtest.Private(t, map[string]string{"recovery_init_sync_method": method})
		root := pgtest.Connect(t, own.URL("postgres"))
		server := openAt(t, own.URL("postgres"), nil)
		// Rows without files are enough to be counted.
		more := `
			insert into pg_database
			select (jsonb_populate_record(db, jsonb_build_object('oid', 60000 + i, 'datname', 'x' || i, 'datallowconn', false))).*
			from pg_database db, generate_series($1::int, $2::int) as i
			where datname = 'template0'`
		exec(t, root, more, 1, 197)
		if got := codes(t, server, tenant.CheckOptions{}); got != "superuser!" {
			t.Errorf("%s with 200 databases: %q", method, got)
		}
		exec(t, root, more, 198, 198)
		if got := codes(t, server, tenant.CheckOptions{}); got != want {
			t.Errorf("%s with 201 databases: %q, want %q", method, got, want)
		}
	}
}
