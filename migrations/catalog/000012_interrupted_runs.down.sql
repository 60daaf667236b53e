alter table migration_runs drop column rechecked_at;
