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
