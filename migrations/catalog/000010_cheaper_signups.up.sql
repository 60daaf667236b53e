-- What a sign-up waits for is made cheaper; nothing means anything else than before.

-- Before Postgres 18 the query of a function in SQL is planned anew by every statement that calls it.
create or replace function catalog_instance() returns text
    language plpgsql stable parallel safe
    as $$
    begin
        return (
            select pg_database.oid::text || ' ' || extract(epoch from pg_postmaster_start_time())::text
            from pg_database
            where datname = current_database());
    end
    $$;

-- Every sign-up writes the same few rows. Without an index on what is written the new version of a row stays on its page, and
-- the old one makes room by itself.
drop index rate_limits_by_time;
alter table rate_limits set (fillfactor = 50);
