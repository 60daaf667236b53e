package tenant

import (
	"cmp"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// Schema describes the structure of a database: a readable line for each thing, "kind name rest", sorted. Databases
// with the same migrations have the same lines, whether they were cloned or migrated, on all servers of one major
// version of Postgres (another one prints some definitions differently).
//
// It covers schemas, tables, columns, constraints, indexes, views, sequences, functions, triggers, policies, rules,
// types, extensions, event triggers, grants, default privileges, and settings of the database. It omits the objects of
// extensions, our own role as an owner, comments, statistics, the order of columns, and foreign tables.
type Schema []string

// fingerprintFormat is the version of the lines that schema.sql and its reader produce. Fingerprints of different
// formats cannot be compared: a change of the lines needs a new number, and every template is then created again.
const fingerprintFormat = "1"

// Fingerprint returns a hash of the lines, 32 hexadecimal digits.
func (s Schema) Fingerprint() string {
	lines := slices.Sorted(slices.Values(s))
	sum := sha256.Sum256([]byte(fingerprintFormat + ":" + strings.Join(lines, "\n")))
	return hex.EncodeToString(sum[:16])
}

// Schema describes a tenant's database. It takes no lock and changes nothing.
func (s *Server) Schema(ctx context.Context, id ID) (Schema, error) {
	var schema Schema
	err := s.inTenantDatabase(ctx, id, func(conn *pgx.Conn) (err error) {
		schema, err = describe(ctx, conn)
		return err
	})
	return schema, err
}

//go:embed schema.sql
var schemaQuery string

// describe reads the schema of the connection's database, in one round trip.
func describe(ctx context.Context, conn *pgx.Conn) (Schema, error) {
	results := conn.PgConn().Exec(ctx, schemaQuery)
	d := description{members: map[string]bool{}, relations: map[string]string{}}
	for results.NextResult() {
		reader := results.ResultReader()
		for reader.NextRow() {
			d.add(reader.FieldDescriptions(), reader.Values())
		}
		if _, err := reader.Close(); err != nil {
			break // Close below returns the error
		}
	}
	if err := results.Close(); err != nil {
		return nil, fmt.Errorf("describe schema of database %s: %w", conn.Config().Database, err)
	}
	slices.Sort(d.lines)
	return d.lines, nil
}

// description formats the rows of schema.sql as lines.
type description struct {
	// members are the objects of extensions, by catalog and id. relations are the kinds of the relations, by id.
	members   map[string]bool
	relations map[string]string
	lines     Schema
}

func (d *description) add(fields []pgconn.FieldDescription, values [][]byte) {
	catalog, object := fields[0].Name, string(values[0])
	switch catalog {
	case "member":
		d.members[string(values[1])+object] = true
		return
	case "relation":
		if catalog = "pg_class"; !d.members[catalog+object] {
			d.relations[object] = string(values[1])
		}
	}
	if d.members[catalog+object] || catalog == "pg_class" && d.relations[object] == "" {
		return
	}
	kind, name := string(values[1]), string(values[2])
	if kind == "column" && d.relations[object] == "sequence" { // all sequences have the same three
		return
	}
	if len(fields) > 3 && fields[3].Name == "part" {
		name += "." + string(values[3])
	}
	d.addLine(kind, name, fields[3:], values[3:])
}

// addLine adds the line of one thing, and another one for the privileges on it.
func (d *description) addLine(kind, name string, fields []pgconn.FieldDescription, values [][]byte) {
	line, owner := kind+" "+name, ""
	for i, field := range fields {
		value := string(values[i])
		switch column := field.Name; {
		case column == "part" || values[i] == nil || field.DataTypeOID == pgtype.BoolOID && value == "f":
		case field.DataTypeOID == pgtype.BoolOID:
			line += " " + column
		case column == "is":
			line += " " + value
		case column == "sha256":
			sum := sha256.Sum256(values[i])
			line += " sha256 " + hex.EncodeToString(sum[:8])
		case column == "owner":
			if owner = value; owner != ownerRole && owner != "pg_database_owner" {
				line += " owner " + owner
			}
		case column == "privileges":
			line += " " + cmp.Or(grantees(value, owner), "nobody")
		case column == "acl":
			if rights := grantees(value, owner); rights != "" {
				d.lines = append(d.lines, escape("grants "+name+" "+rights))
			}
		default:
			line += " " + column + " " + value
		}
	}
	d.lines = append(d.lines, escape(line))
}

// escape escapes line breaks.
var escape = strings.NewReplacer(`\`, `\\`, "\n", `\n`).Replace
