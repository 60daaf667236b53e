package migrations

import (
	"fmt"

	"github.com/jackc/pgx/v5"

	"homeroom/internal/killpoint"
)

// effect is whether a statement took effect.
type effect int

const (
	unclear effect = iota
	applied
	notApplied
	irrelevant // it is not known and does not matter: the statement may run again
)

// leftover is what a statement that ran outside a transaction has left in the database.
type leftover struct {
	effect effect
	// invalid are the indexes to drop first: incompletely created or dropped. The names are quoted.
	invalid []string
	// clean: nothing incomplete is left, although the effect may be unclear.
	clean bool
	// observed describes what was found; it follows a file's name and "was interrupted:".
	observed string
}

// inspectLeftover looks for what a command has left.
func (d *driver) inspectLeftover(c command) (found leftover, err error) {
	switch c.kind {
	case createIndex:
		found, err = d.inspectCreateIndex(c)
	case dropIndex:
		found, err = d.inspectDropIndex(c)
	case reindexIndex, reindexTable, reindexSchema, reindexDatabase:
		found, err = d.inspectReindex(c)
	case addValue:
		found, err = d.inspectAddValue(c)
	case repeatable:
		found = leftover{effect: irrelevant, observed: "it may run twice"}
	default:
		found = leftover{observed: "the effect of its statement cannot be checked"}
	}
	if err != nil {
		return leftover{}, fmt.Errorf("look for what an interrupted migration left: %w", err)
	}
	return found, nil
}

// indexFound is an index, or another object with its name.
type indexFound struct {
	there, ours, valid bool
	name               string
}

const indexColumns = `select i.oid is not null, coalesce(%s, false), coalesce(x.indisvalid and x.indisready, false),
	coalesce(quote_ident(n.nspname) || '.' || quote_ident(i.relname), '') from `

func (d *driver) findIndex(query string, names ...any) (found indexFound, err error) {
	err = d.conn.QueryRow(d.ctx, query, append([]any{pgx.QueryExecModeSimpleProtocol}, names...)...).
		Scan(&found.there, &found.ours, &found.valid, &found.name)
	return found, err
}

// inspectCreateIndex searches the table's schema, where a new index always is.
func (d *driver) inspectCreateIndex(c command) (leftover, error) {
	if c.name == "" {
		return d.inspectUnnamedIndex(c)
	}
	found, err := d.findIndex(fmt.Sprintf(indexColumns, "x.indrelid = t.oid")+`(select to_regclass($1) as oid) t
		left join pg_class r on r.oid = t.oid
		left join pg_class i on i.relnamespace = r.relnamespace and i.relname = (parse_ident($2))[1]::name
		left join pg_namespace n on n.oid = i.relnamespace
		left join pg_index x on x.indexrelid = i.oid`, c.table, c.name)
	switch {
	case err != nil:
		return leftover{}, err
	case !found.there:
		return leftover{effect: notApplied, clean: true, observed: fmt.Sprintf("index %s does not exist", c.name)}, nil
	case !found.ours:
		return leftover{clean: true, observed: fmt.Sprintf("%s exists, but is no index of table %s", found.name, c.table)}, nil
	case found.valid:
		return leftover{effect: applied, clean: true, observed: fmt.Sprintf("index %s exists and is valid", found.name)}, nil
	}
	return leftover{
		effect: notApplied, invalid: []string{found.name},
		observed: fmt.Sprintf("index %s is incomplete", found.name),
	}, nil
}

// inspectUnnamedIndex can only find that no index is incomplete.
func (d *driver) inspectUnnamedIndex(c command) (leftover, error) {
	found := leftover{observed: "its index has no name in the file to look for"}
	err := d.conn.QueryRow(d.ctx, `select not exists (select from pg_index
		where indrelid = to_regclass($1) and not (indisvalid and indisready))`, pgx.QueryExecModeSimpleProtocol, c.table).
		Scan(&found.clean)
	return found, err
}

// inspectDropIndex takes an invalid index for one that was dropped incompletely: the statement must be completed.
func (d *driver) inspectDropIndex(c command) (leftover, error) {
	found, err := d.findIndex(fmt.Sprintf(indexColumns, "x.indexrelid = i.oid")+`(select to_regclass($1) as oid) t
		left join pg_class i on i.oid = t.oid
		left join pg_namespace n on n.oid = i.relnamespace
		left join pg_index x on x.indexrelid = i.oid`, c.name)
	switch {
	case err != nil:
		return leftover{}, err
	case !found.there:
		return leftover{effect: applied, clean: true, observed: fmt.Sprintf("index %s does not exist", c.name)}, nil
	case !found.ours:
		return leftover{clean: true, observed: fmt.Sprintf("%s exists, but is no index", found.name)}, nil
	case found.valid:
		return leftover{effect: notApplied, clean: true, observed: fmt.Sprintf("index %s still exists and is valid", found.name)}, nil
	}
	return leftover{
		effect: applied, invalid: []string{found.name},
		observed: fmt.Sprintf("index %s is only partly dropped", found.name),
	}, nil
}

// reindexed are the conditions for the indexes, as o, that a REINDEX rebuilds; $1 is the name in the statement.
var reindexed = map[kind]string{
	reindexIndex: `(o.indexrelid = to_regclass($1) or o.indexrelid in (select relid from pg_partition_tree(to_regclass($1))))`,
	reindexTable: `o.indrelid in (select unnest(array[oid, reltoastrelid]) from pg_class
		where oid = to_regclass($1) or oid in (select relid from pg_partition_tree(to_regclass($1))))`,
	reindexSchema: `o.indrelid in (select unnest(array[oid, reltoastrelid]) from pg_class
		where relnamespace = to_regnamespace($1))`,
	reindexDatabase: `$1 is not null`,
}

// inspectReindex finds the copies that REINDEX CONCURRENTLY makes and drops: index_ccnew and index_ccold, with a
// number when those names exist, and with a shorter name of the index when it is long.
func (d *driver) inspectReindex(c command) (leftover, error) {
	rows, err := d.conn.Query(d.ctx, `select format('%I.%I', n.nspname, i.relname)
		from pg_index x join pg_class i on i.oid = x.indexrelid join pg_namespace n on n.oid = i.relnamespace,
			regexp_replace(i.relname, '_cc(new|old)[0-9]*$', '') base
		where not x.indisvalid and i.relname <> base and exists (
			select from pg_index o join pg_class b on b.oid = o.indexrelid
			where o.indrelid = x.indrelid and o.indexrelid <> x.indexrelid and `+reindexed[c.kind]+`
				and (b.relname = base or octet_length(i.relname) >= 60 and starts_with(b.relname, base)))
		order by 1`, pgx.QueryExecModeSimpleProtocol, c.name)
	if err != nil {
		return leftover{}, err
	}
	invalid, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return leftover{effect: irrelevant, invalid: invalid, clean: len(invalid) == 0, observed: "it may run twice"}, err
}

func (d *driver) inspectAddValue(c command) (leftover, error) {
	found := leftover{effect: notApplied, clean: true, observed: fmt.Sprintf("%s has no value %s", c.name, c.label)}
	var there bool
	err := d.conn.QueryRow(d.ctx, `select exists (select from pg_enum where enumtypid = to_regtype($1) and enumlabel = `+c.label+`)`,
		pgx.QueryExecModeSimpleProtocol, c.name).Scan(&there)
	if there {
		found.effect, found.observed = applied, fmt.Sprintf("%s has the value %s", c.name, c.label)
	}
	return found, err
}

// dropInvalid drops incomplete indexes.
func (d *driver) dropInvalid(indexes []string) error {
	for _, name := range indexes {
		if _, err := d.conn.Exec(d.ctx, "drop index concurrently if exists "+name, pgx.QueryExecModeSimpleProtocol); err != nil {
			return fmt.Errorf("drop the incomplete index %s of an interrupted migration: %w", name, err)
		}
		killpoint.Here("migrations.invalid_dropped")
	}
	return nil
}
