drop table rate_limits, audit_events, migration_outcomes, migration_runs, signups, users, tenants, servers;
