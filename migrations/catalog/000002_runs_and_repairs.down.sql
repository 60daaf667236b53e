drop index migration_outcomes_by_time;
alter table migration_outcomes drop column counts, drop column attempts;
drop index migration_runs_newest;
drop index one_run_at_a_time;
update migration_runs set state = 'failed', finished_at = coalesce(finished_at, now()) where state in ('paused', 'stopped', 'aborted');
alter table migration_runs
    drop constraint a_run_is_open_or_finished,
    drop constraint a_run_state_is_known,
    drop column changed_by,
    drop column hold,
    drop column skip_quarantined,
    drop column concurrency,
    drop column max_failures,
    drop column canaries,
    drop column direction,
    drop column schema_hash,
    drop column lineage,
    add constraint a_run_state_is_known check (state in ('running', 'done', 'failed')),
    add constraint a_run_is_running_or_finished check ((state = 'running') = (finished_at is null));
create unique index one_run_at_a_time on migration_runs (state) where state = 'running';
alter table servers drop column closed_at, drop column closed_because;
drop table schema_references;
drop index tenants_wanted;
drop index tenants_unseen;
alter table tenants drop column quarantine_kind, drop column held_at, drop column wanted_at, drop column canary;
