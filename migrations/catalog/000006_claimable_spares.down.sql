drop table installation;
alter table servers drop column system_identifier;
alter table tenants drop column marked_at, drop column claimable_in, drop column claimable_xid;
drop function catalog_instance();
