-- A run of chosen tenants can end between two files of one, and no other run comes by a tenant that is held at a version.
alter table migration_runs
    -- When the tenants that it left without an outcome were listed to be looked at. One of before is listed once, too.
    add column rechecked_at timestamptz;
