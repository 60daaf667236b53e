-- What a tenant's role may do inside its database: read and write data, and nothing else.
--
-- Run by the owner of everything in it, before the first migration and whenever a right was lost. The default privileges
-- hold for whatever the owner makes later, in any schema.

alter default privileges grant select, insert, update, delete on tables to homeroom_tenant;
alter default privileges grant usage, select on sequences to homeroom_tenant;
alter default privileges grant usage on schemas to homeroom_tenant;

do $$
declare
    item record;
begin
    for item in
        select nspname from pg_namespace
        where nspname !~ '^pg_' and nspname <> 'information_schema' and pg_has_role(current_user, nspowner, 'usage')
    loop
        execute format('revoke all on schema %I from public, homeroom_tenant', item.nspname);
        execute format('grant usage on schema %I to homeroom_tenant', item.nspname);
    end loop;

    for item in
        select nspname, relname, relkind
        from pg_class
        join pg_namespace on pg_namespace.oid = relnamespace
        where relowner = current_user::regrole and nspname !~ '^pg_' and nspname <> 'information_schema'
            and relkind in ('r', 'p', 'v', 'm', 'f', 'S')
    loop
        if item.relkind = 'S' then
            execute format('grant usage, select on sequence %I.%I to homeroom_tenant', item.nspname, item.relname);
        elsif item.relname = 'schema_migrations' and item.nspname = 'public' then
            -- Only the migrations write the version.
            execute format('revoke all on %I.%I from homeroom_tenant', item.nspname, item.relname);
            execute format('grant select on %I.%I to homeroom_tenant', item.nspname, item.relname);
        else
            execute format('grant select, insert, update, delete on %I.%I to homeroom_tenant', item.nspname, item.relname);
        end if;
    end loop;
end
$$;
