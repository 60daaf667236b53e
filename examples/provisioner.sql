-- The role with which Homeroom makes tenants: no superuser, since whoever took over a service that holds one would hold
-- the server's machine. A superuser runs this once in the database "postgres" of each server; it may be run again.
-- The role's password is set apart: \password homeroom

do $$
begin
    if not exists (select from pg_roles where rolname = 'homeroom') then
        create role homeroom;
    end if;
end
$$;

alter role homeroom login createdb createrole;

-- Ends the sessions in a database that is set aside (tenant reprovision --fresh).
grant pg_signal_backend to homeroom;

-- Everybody may enter these two unless that is taken away, the tenants' roles included.
grant connect on database postgres to homeroom;
revoke connect, temporary on database postgres, template1 from public;
