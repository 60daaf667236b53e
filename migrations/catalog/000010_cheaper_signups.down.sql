alter table rate_limits reset (fillfactor);
create index rate_limits_by_time on rate_limits (full_at);
create or replace function catalog_instance() returns text
    language sql stable parallel safe
    as $$
        select pg_database.oid::text || ' ' || extract(epoch from pg_postmaster_start_time())::text
        from pg_database
        where datname = current_database()
    $$;
