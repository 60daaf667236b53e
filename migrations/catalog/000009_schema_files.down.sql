alter table schema_references drop column postgres, drop column grants;
drop table schema_files;
