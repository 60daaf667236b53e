-- How many bytes the database server can still write: the least of what is free for the data directory and for the
-- write-ahead log.
--
-- Homeroom asks this function where it cannot look at the disk itself: the server is on another machine, or its data
-- directory is not ours to read. Without it, Homeroom does not know when a disk runs full, and a full disk stops Postgres for
-- all tenants.
--
-- A superuser runs this once in the database "postgres" of each server, and lets Homeroom's role execute it:
--
--     grant execute on function public.homeroom_free_disk() to <the role in the server's URL>;
--
-- It runs df as the operating system's user of the server, with nothing of the caller in the command. Homeroom calls it only
-- when a superuser owns it. It needs a server on Linux, macOS or BSD; managed services that allow no COPY FROM PROGRAM have
-- metrics of their own.

create or replace function public.homeroom_free_disk() returns bigint
    language plpgsql
    security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    free bigint;
begin
    create temporary table homeroom_free_disk_report (kib bigint);
    -- The server works in its data directory. The column before the percentage is what is available; names may have spaces.
    copy pg_temp.homeroom_free_disk_report from program
        'df -Pk . pg_wal/. | awk ''NR > 1 { for (i = 2; i <= NF; i++) if ($i ~ /^[0-9]+%$/) { print $(i - 1); break } }''';
    select min(kib) * 1024 into strict free from pg_temp.homeroom_free_disk_report;
    drop table pg_temp.homeroom_free_disk_report;
    return free;
end
$$;

revoke all on function public.homeroom_free_disk() from public;
