-- Everything structural in a database, for describe to put into lines. The columns say by their names how:
--
--   1  the catalog and the id of the object that the row belongs to
--   2  the kind of the thing, and its name; then "part", when it is a part of the thing of that name
--   3… what there is to tell: the name of the column and its value, the name alone when it is a boolean and true, the value
--      alone when the column is called "is", nothing when it is null. "owner", "acl", "privileges" and "sha256" are told
--      in a way of their own.
--
-- It is sent right after a migration by a session that has seen no catalog yet, for thousands of tenants in a row, where
-- reading rows is cheap, and parsing and planning are not. So it is one message, one transaction, of plain statements on
-- one catalog each, with few operators: as one query of joins it took more than twice as long. What users make has ids from
-- 16384 on; asking for those reads a few rows by an index, where a look at the schema's name would read whole catalogs.
--
-- The settings make Postgres print the same in every session, with the schema in front of every name.

set local search_path = '';
set local datestyle = 'ISO, MDY';
set local intervalstyle = 'postgres';
set local timezone = 'UTC';
set local extra_float_digits = 1;
set local bytea_output = 'hex';
set local quote_all_identifiers = off;
set local lc_monetary = 'C';

-- What belongs to an extension is left out. The extension's version stands for it.
select objid as member, classid::regclass
from pg_depend
where refclassid = 'pg_extension'::regclass and deptype = 'e' and objid >= 16384;

-- What belongs to another relation than these is left out: temporary and foreign tables, and the system's own.
select oid as relation,
    case relkind when 'v' then 'view' when 'm' then 'materialized_view' when 'S' then 'sequence' when 'c' then 'composite_type' else 'table' end as kind,
    oid::regclass as name,
    case relpersistence when 'u' then true end as unlogged,
    case relkind when 'p' then pg_get_partkeydef(oid) end as "partition by",
    case relispartition when true then pg_get_expr(relpartbound, oid) end as partition,
    relrowsecurity as "row security",
    relforcerowsecurity as "forced",
    case relkind when 'r' then case relreplident when 'f' then 'full' when 'n' then 'nothing' end end as "replica identity",
    reloptions as "with",
    case relam when 0 then null when 2 then null else (select amname from pg_am where pg_am.oid = relam) end as using,
    case relkind when 'v' then pg_get_viewdef(oid) when 'm' then pg_get_viewdef(oid) end as "as",
    relowner::regrole as owner,
    array_to_string(relacl, e'\n') as acl
from pg_class
where oid >= 16384 and relkind in ('r', 'p', 'v', 'm', 'S', 'c') and relpersistence <> 't';

select inhrelid as pg_class, 'inheritance' as kind, inhrelid::regclass as name, inhparent::regclass as is
from pg_inherits;

select attrelid as pg_class, 'column' as kind, attrelid::regclass as name, quote_ident(attname) as part,
    format_type(atttypid, atttypmod) as is,
    case attcollation when 0 then null when 100 then null else attcollation::regcollation end as collate, -- 100: the default
    attnotnull as "not null",
    case attidentity when 'a' then 'always' when 'd' then 'by default' end as "as identity",
    case attgenerated when 's' then 'stored' when 'v' then 'virtual' end as generated,
    case atthasdef when true then (select pg_get_expr(adbin, adrelid) from pg_attrdef where adrelid = attrelid and adnum = attnum) end as "default",
    array_to_string(attacl, e'\n') as acl
from pg_attribute
where attrelid >= 16384 and attnum > 0 and not attisdropped;

-- Not-null constraints, which newer versions of Postgres have too, are told by their columns; constraint triggers are triggers.
select conrelid as pg_class, 'constraint' as kind, conrelid::regclass as name, quote_ident(conname) as part, pg_get_constraintdef(oid) as is
from pg_constraint
where oid >= 16384 and conrelid >= 16384 and (contype in ('c', 'f', 'p', 'u', 'x') or contype = 'n' and not convalidated);

select contypid as pg_type, 'constraint' as kind, contypid::regtype as name, quote_ident(conname) as part, pg_get_constraintdef(oid) as is
from pg_constraint
where oid >= 16384 and contypid >= 16384 and (contype = 'c' or contype = 'n' and not convalidated);

select indrelid as pg_class, 'index' as kind, indexrelid::regclass as name,
    pg_get_indexdef(indexrelid) as is,
    not indisvalid as invalid,
    indisreplident as "replica identity"
from pg_index
where indexrelid >= 16384;

select seqrelid as pg_class, 'sequence_options' as kind, seqrelid::regclass as name,
    seqtypid::regtype as is, seqstart as start, seqincrement as increment, seqmin as "from", seqmax as "to", seqcache as cache, seqcycle as cycle,
    (
        select (pg_identify_object(refclassid, refobjid, refobjsubid)).identity
        from pg_depend
        where classid = 'pg_class'::regclass and objid = seqrelid and refclassid = 'pg_class'::regclass and deptype in ('a', 'i')
    ) as "owned by"
from pg_sequence;

select oid as pg_proc, 'function' as kind, oid::regprocedure as name,
    case prokind when 'p' then 'procedure' when 'a' then 'aggregate' when 'w' then 'window function' end as is,
    pg_get_function_result(oid) as returns,
    case prokind when 'a' then pg_get_function_arguments(oid) else pg_get_functiondef(oid) end as sha256,
    proowner::regrole as owner,
    array_to_string(coalesce(proacl, acldefault('f', proowner)), e'\n') as acl
from pg_proc
where oid >= 16384;

select aggfnoid::oid as pg_proc, 'aggregate' as kind, aggfnoid::regprocedure as name,
    aggkind as is, aggtransfn as "transition", aggtranstype::regtype as state, agginitval as initially, aggfinalfn as final, aggfinalextra as "final extra",
    aggfinalmodify as "final modify", aggcombinefn as combine, aggserialfn as serialize, aggdeserialfn as deserialize,
    aggmtransfn as "moving transition", aggminvtransfn as "moving inverse", aggmtranstype::regtype as "moving state", aggminitval as "moving initially",
    aggmfinalfn as "moving final", aggsortop::regoperator as "sort operator"
from pg_aggregate
where aggfnoid >= 16384;

-- The triggers behind a foreign key have ids in their names. They are told only when somebody has switched them off.
select tgrelid as pg_class, 'trigger' as kind, tgrelid::regclass as name,
    quote_ident(case tgisinternal when true then (select conname from pg_constraint where pg_constraint.oid = tgconstraint) else tgname end) as part,
    case tgisinternal when true then tgfoid::regproc::text else pg_get_triggerdef(oid) end as is,
    case tgenabled when 'O' then null else tgenabled end as enabled
from pg_trigger
where oid >= 16384 and (not tgisinternal or tgenabled <> 'O');

select polrelid as pg_class, 'policy' as kind, polrelid::regclass as name, quote_ident(polname) as part,
    not polpermissive as restrictive,
    case polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update' when 'd' then 'delete' else 'all' end as "for",
    polroles::regrole[] as "to",
    pg_get_expr(polqual, polrelid) as using,
    pg_get_expr(polwithcheck, polrelid) as "with check"
from pg_policy;

select ev_class as pg_class, 'rule' as kind, ev_class::regclass as name, quote_ident(rulename) as part,
    pg_get_ruledef(oid) as is,
    case ev_enabled when 'O' then null else ev_enabled end as enabled
from pg_rewrite
where oid >= 16384 and rulename <> '_RETURN';

select enumtypid as pg_type, 'enum' as kind, enumtypid::regtype as name, array_agg(enumlabel order by enumsortorder) as is
from pg_enum
group by enumtypid;

select oid as pg_type, case typtype when 'd' then 'domain' when 'r' then 'range' else 'base_type' end as kind, oid::regtype as name,
    case typtype when 'd' then format_type(typbasetype, typtypmod) when 'r' then (select rngsubtype::regtype::text from pg_range where rngtypid = pg_type.oid) end as is,
    case typcollation when 0 then null when 100 then null else typcollation::regcollation end as collate,
    typnotnull as "not null",
    typdefault as "default",
    typowner::regrole as owner
from pg_type
where oid >= 16384 and (typtype in ('d', 'r') or typtype = 'b' and typcategory <> 'A');

select oid as pg_namespace, 'schema' as kind, quote_ident(nspname) as name, nspowner::regrole as owner, array_to_string(nspacl, e'\n') as acl
from pg_namespace
where oid >= 16384 and nspname !~ '^pg_' or nspname = 'public';

select oid as pg_extension, 'extension' as kind, quote_ident(extname) as name, extversion as is, extnamespace::regnamespace as "in"
from pg_extension;

select oid as pg_event_trigger, 'event_trigger' as kind, quote_ident(evtname) as name,
    evtevent as "on", evttags as "when tag in", evtfoid::regprocedure as execute,
    case evtenabled when 'O' then null else evtenabled end as enabled
from pg_event_trigger;

select oid as pg_default_acl, 'default_privileges' as kind,
    concat_ws('.', defaclrole::regrole, case defaclnamespace when 0 then null else defaclnamespace::regnamespace end,
        case defaclobjtype when 'r' then 'tables' when 'S' then 'sequences' when 'f' then 'functions' when 'T' then 'types' else 'schemas' end) as name,
    defaclrole::regrole as owner,
    array_to_string(defaclacl, e'\n') as privileges
from pg_default_acl;

-- What a migration has set for the whole database.
select setdatabase as pg_database, 'setting' as kind, split_part(setting, '=', 1) as name,
    substr(setting, position('=' in setting) + 1) as is
from pg_db_role_setting, unnest(setconfig) as setting
where setrole = 0 and setdatabase = (select oid from pg_database where datname = current_database())
