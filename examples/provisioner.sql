-- The role with which Homeroom makes tenants: no superuser, since whoever took over a service that holds one would hold
-- the server's machine. A superuser runs this with psql in the database "postgres" of each server; it may be run again, and is
-- to be run again with each new version of Homeroom: psql --set ON_ERROR_STOP=1 --file provisioner.sql postgres
-- The role's password is set apart: \password homeroom

do $$
begin
    if not exists (select from pg_roles where rolname = 'homeroom') then
        create role homeroom;
    end if;
    if not exists (select from pg_roles where rolname = 'homeroom_owner') then
        create role homeroom_owner nologin;
    end if;
end
$$;

alter role homeroom login createdb createrole;

-- It acts as the owner of the tenants' databases, and keeps that role in order.
grant homeroom_owner to homeroom with admin option;

-- Ends the sessions in a database that is set aside (tenant reprovision --fresh), and those with which a tenant's role holds up
-- the others; the second shows how long their transactions last.
grant pg_signal_backend, pg_read_all_stats to homeroom;

-- No e-mail address that it writes comes into the server's log with the parameters of a statement.
alter role homeroom set log_parameter_max_length = 0;

-- Its indexes may be larger than what a tenant may write into temporary files; see below.
alter role homeroom set temp_file_limit = -1;

-- Everybody may enter these two unless that is taken away, the tenants' roles included.
grant connect on database postgres to homeroom;
revoke connect, temporary on database postgres, template1 from public;

-- The database that templates are built from. In it, and so in every tenant's, the functions are closed with which one tenant's
-- role could stop the whole server. Only a superuser can close them.
select 'create database homeroom_base owner homeroom_owner template template0'
where not exists (select from pg_database where datname = 'homeroom_base') \gexec
revoke all on database homeroom_base from public;
alter database homeroom_base allow_connections true;
\connect homeroom_base

-- Takes from PUBLIC, in one database, the functions with which one tenant's role could stop the whole server or fill its disk:
-- locks without a table, whose memory all databases share; notifications, whose queue all databases share; large objects, which
-- belong to no schema; files of exported snapshots; messages in the write-ahead log. Who owns the tenants' structure keeps them, and may
-- give one to homeroom_tenant in a migration.
--
-- A superuser runs it, in the database that templates are built from, or in a tenant's that was made before. It may be run again.
do $$
declare
    item regprocedure;
begin
    for item in
        select oid::regprocedure
        from pg_proc
        where pronamespace = 'pg_catalog'::regnamespace and (proname ~ '^pg_(try_)?advisory_(xact_)?lock'
            or proname in ('pg_notify', 'lo_creat', 'lo_create', 'lo_from_bytea', 'lo_import', 'pg_export_snapshot', 'pg_logical_emit_message'))
    loop
        execute format('revoke execute on function %s from public', item);
        execute format('grant execute on function %s to homeroom_owner with grant option', item);
    end loop;
end
$$;

\connect postgres
alter database homeroom_base allow_connections false is_template true;

-- How much one session may write into temporary files, unless that is set already. Only a superuser can lift it.
select 'alter system set temp_file_limit = ''2GB''' where current_setting('temp_file_limit') = '-1' \gexec
select pg_reload_conf();
