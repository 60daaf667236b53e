package tenant

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Warning is a problem of a server that an operator should know before tenants are created on it.
type Warning struct {
	// Code is one of the codes below.
	Code string `json:"code"`
	// Refuse says that Homeroom should not use the server as it is. Otherwise it is only a warning.
	Refuse bool `json:"refuse"`
	// Problem is a sentence with the consequence. Fix is a statement or a sentence.
	Problem string `json:"what"`
	Fix     string `json:"mend"`
}

// The codes of warnings.
const (
	// WarnSuperuser: the role in the server's URL is a superuser.
	WarnSuperuser = "superuser"
	// WarnCreateRole: its role has CREATEROLE on a version of Postgres where that gives it the rights of the operating
	// system's user.
	WarnCreateRole = "createrole-is-too-much"
	// WarnNoCreateDB and WarnNoCreateRole: its role lacks a required privilege.
	WarnNoCreateDB   = "no-createdb"
	WarnNoCreateRole = "no-createrole"
	// WarnNoSignal: its role may not end sessions.
	WarnNoSignal = "no-signal"
	// WarnNoStats: its role may not see how long the tenants' transactions last, and so cannot end them.
	WarnNoStats = "no-stats"
	// WarnPublicFunctions: tenants may execute functions with which one of them can stop the whole server.
	WarnPublicFunctions = "open-functions"
	// WarnPrepared: a tenant may prepare transactions, which keep their locks after its sessions have ended.
	WarnPrepared = "prepared-transactions"
	// WarnPublicConnect: PUBLIC has CONNECT on the maintenance databases.
	WarnPublicConnect = "open-to-public"
	// WarnRecovery: a restart after a crash takes long with so many databases.
	WarnRecovery = "slow-recovery"
	// WarnConnections: the server allows fewer connections than we may open.
	WarnConnections = "few-connections"
	// WarnClock: its clock and ours differ.
	WarnClock = "clock"
	// WarnDiskUnknown and WarnDiskLow are about the free disk; see free_disk.sql and Config.MinFreeDisk.
	WarnDiskUnknown = "disk-unknown"
	WarnDiskLow     = "disk-low"
)

// CheckOptions are what a server is compared with.
type CheckOptions struct {
	// Connections is how many connections we open to the server at most. Defaults to 0, which never causes a warning.
	Connections int
	// Now is our clock. Defaults to time.Now.
	Now func() time.Time
}

// Check checks our role's privileges on the server, and the server's settings. It changes nothing. It does not warn of
// settings that our role may not read.
func (s *Server) Check(ctx context.Context, expected CheckOptions) ([]Warning, error) {
	if expected.Now == nil {
		expected.Now = time.Now
	}
	conn, err := s.maintenance.Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect to server %s: %w", s.cfg.Name, err)
	}
	defer conn.Release()
	found, err := inspectServer(ctx, conn.Conn(), expected.Now)
	if err != nil {
		return nil, fmt.Errorf("check server %s: %w", s.cfg.Name, err)
	}
	free, known, err := s.freeDisk(ctx, conn.Conn())
	if err != nil {
		return nil, err
	}
	return append(append(s.privilegeWarnings(found), settingWarnings(found, expected)...), s.diskWarnings(found, free, known)...), nil
}

const (
	// clockTolerance is how far the clocks may differ.
	clockTolerance = 5 * time.Second
	// manyDatabases is the number of databases above which recovery_init_sync_method matters.
	manyDatabases = 200
)

// serverState is what Check reads from a server.
type serverState struct {
	role                        string // our role, quoted
	super, createDB, createRole bool
	signal, stats               bool
	base                        bool // templates are built from a base without the dangerous functions
	prepared                    int  // how many transactions may be prepared
	version, databases          int
	public                      publicConnect
	recovery                    *string
	usable                      *int          // the connections that are not reserved
	clockAhead                  time.Duration // the server's clock before ours
}

func inspectServer(ctx context.Context, conn *pgx.Conn, now func() time.Time) (found serverState, err error) {
	err = conn.QueryRow(ctx, `
		select quote_ident(rolname), rolsuper, rolcreatedb, rolcreaterole, pg_has_role(oid, 'pg_signal_backend', 'usage'),
			pg_has_role(oid, 'pg_read_all_stats', 'usage'), `+majorVersion+`,
			exists (select from pg_database where datname = $1 and datistemplate and not datallowconn),
			current_setting('max_prepared_transactions')::int,
			(select count(*) from pg_database),
			(select setting from pg_settings where name = 'recovery_init_sync_method'),
			(
				select sum(case name when 'max_connections' then setting::int else -setting::int end)::int from pg_settings
				where name in ('max_connections', 'superuser_reserved_connections', 'reserved_connections')
				having bool_or(name = 'max_connections')
			)
		from pg_roles
		where rolname = current_user`, baseDatabase).
		Scan(&found.role, &found.super, &found.createDB, &found.createRole, &found.signal, &found.stats, &found.version, &found.base, &found.prepared,
			&found.databases, &found.recovery, &found.usable)
	if err != nil {
		return found, err
	}
	if found.public, err = inspectPublicConnect(ctx, conn); err != nil {
		return found, err
	}
	var theirs time.Time
	before := now()
	if err := conn.QueryRow(ctx, "select clock_timestamp()").Scan(&theirs); err != nil {
		return found, err
	}
	found.clockAhead = theirs.Sub(before.Add(now().Sub(before) / 2))
	return found, nil
}

// privilegeWarnings warns of privileges that our role lacks, and of excessive ones.
func (s *Server) privilegeWarnings(found serverState) (warnings []Warning) {
	if found.super {
		return []Warning{{
			WarnSuperuser, true,
			"its URL belongs to a superuser: a defect of Homeroom, or a migration, could do anything to the server and its machine",
			"create role homeroom login createdb createrole password '…'; grant pg_signal_backend to homeroom; then give its URL in " + s.cfg.Settings.Of("Servers."+s.cfg.Name),
		}}
	}
	if found.createRole && found.version < 16 {
		warnings = append(warnings, Warning{
			WarnCreateRole, true,
			fmt.Sprintf("on Postgres %d a role with CREATEROLE, such as %s, can grant itself pg_execute_server_program and so be the operating system's user",
				found.version, found.role),
			"use Postgres 16 or newer, where CREATEROLE applies only to the roles that it created",
		})
	}
	for _, w := range []struct {
		applies bool
		Warning
	}{
		{!found.createDB, Warning{WarnNoCreateDB, true, "its role may not create databases", "alter role " + found.role + " createdb"}},
		{!found.createRole, Warning{WarnNoCreateRole, true, "its role may not create the tenants' roles", "alter role " + found.role + " createrole"}},
		{!found.signal, Warning{
			WarnNoSignal, false,
			"its role may not end sessions: a tenant's database with open sessions cannot be archived",
			"grant pg_signal_backend to " + found.role,
		}},
		{!found.stats, Warning{
			WarnNoStats, false,
			"its role may not see how long transactions last: a tenant's transaction that blocks the others is not ended",
			"grant pg_read_all_stats to " + found.role,
		}},
		{!found.base, Warning{
			WarnPublicFunctions, false,
			"tenants may run functions with which one of them can stop the whole server, pg_advisory_lock among them",
			"as a superuser, run examples/provisioner.sql, which creates the database " + baseDatabase + " from which templates are built",
		}},
		{found.public.owned < found.public.databases, Warning{
			WarnPublicConnect, false,
			"tenants can connect to its maintenance databases, and list the (opaque) names of all databases there",
			found.public.revokeSQL(),
		}},
	} {
		if w.applies {
			warnings = append(warnings, w.Warning)
		}
	}
	return warnings
}

// settingWarnings warns of settings of the server.
func settingWarnings(found serverState, expected CheckOptions) (warnings []Warning) {
	if found.recovery != nil && *found.recovery == "fsync" && found.databases > manyDatabases {
		warnings = append(warnings, Warning{
			WarnRecovery, false,
			fmt.Sprintf("it has %d databases and recovery_init_sync_method = fsync: a restart after a crash takes about a minute for every thousand", found.databases),
			"on Linux: alter system set recovery_init_sync_method = 'syncfs'; select pg_reload_conf()",
		})
	}
	if found.prepared > 0 {
		warnings = append(warnings, Warning{
			WarnPrepared, false,
			"tenants may prepare transactions, which hold locks and old rows even when the session has ended",
			"alter system set max_prepared_transactions = 0, and restart the server",
		})
	}
	if found.usable != nil && *found.usable < expected.Connections {
		warnings = append(warnings, Warning{
			WarnConnections, false,
			fmt.Sprintf("it allows %d connections besides the reserved ones, and this process opens up to %d: some will be refused",
				*found.usable, expected.Connections),
			fmt.Sprintf("alter system set max_connections = %d, for one process of Homeroom and the reserved ones, and restart the server", expected.Connections+20),
		})
	}
	if found.clockAhead.Abs() > clockTolerance {
		warnings = append(warnings, Warning{
			WarnClock, false,
			fmt.Sprintf("its clock differs by %s from this machine's: times in the catalog and in the logs do not agree", found.clockAhead.Round(time.Second)),
			"synchronise the clocks of both machines, with chrony or systemd-timesyncd",
		})
	}
	return warnings
}

// diskWarnings are the warnings about the free disk.
func (s *Server) diskWarnings(found serverState, free int64, known bool) []Warning {
	switch {
	case !known && s.cfg.MinFreeDisk == 0: // no minimum is configured
	case !known:
		return []Warning{{
			WarnDiskUnknown, false,
			"its free disk is unknown: when the disk is full, Postgres stops for all tenants",
			"as a superuser, run tenant/free_disk.sql in its database postgres, then: grant execute on function public.homeroom_free_disk() to " + found.role,
		}}
	case free < s.cfg.MinFreeDisk:
		return []Warning{{
			WarnDiskLow, false,
			fmt.Sprintf("%d bytes are free on its disk, below the minimum of %d: no database is created", free, s.cfg.MinFreeDisk),
			"make the disk larger, drop archived databases that nobody needs, or lower the minimum",
		}}
	}
	return nil
}
