package migrations

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// interrupted is a "no-transaction" file that may have left a database dirty.
type interrupted struct {
	name string
	down bool
	command
}

// interrupted returns the files of the i-th version: the dirty row does not say whether the migration went up or
// down.
func (s *Set) interrupted(i int) (files []interrupted) {
	file := s.files[i]
	for _, f := range []struct {
		name, text string
		down       bool
	}{{file.Name, file.up, false}, {file.downName, file.down, true}} {
		// A file that does not parse was refused by Load.
		if parts, err := parse(f.text); err == nil && f.name != "" && !parts.transactional {
			files = append(files, interrupted{f.name, f.down, commandOf(parts)})
		}
	}
	return files
}

// resolve resolves a dirty database, with the lock held: it checks what the interrupted file left, drops what is
// incomplete, and records the version before the file or after it. It returns a sentence about what it found and did,
// or a StateError when the effect is not known.
func (s *Set) resolve(d *driver, status Status) (string, error) {
	i, ours := s.find(status.Version)
	if !ours {
		return "", s.refuse(status, "")
	}
	files := s.interrupted(i)
	var reached []bool // whether the version was reached, by each file whose effect is known
	var seen, invalid []string
	for _, f := range files {
		found, err := d.inspectLeftover(f.command)
		if err != nil {
			return "", err
		}
		seen = append(seen, found.observed)
		switch found.effect {
		case unclear:
			return "", s.refuse(status, found.observed)
		case applied, notApplied:
			reached = append(reached, (found.effect == applied) != f.down)
		case irrelevant:
		}
		invalid = append(invalid, found.invalid...)
	}
	// A down file that leaves no trace is no evidence either: another tool may have run the up file.
	if len(files) == 0 || len(slices.Compact(reached)) > 1 || len(reached) == 0 && files[0].down {
		return "", s.refuse(status, strings.Join(seen, ", but "))
	}
	slices.Sort(invalid)
	invalid = slices.Compact(invalid) // an up file and its down file may name the same index
	if err := d.dropInvalid(invalid); err != nil {
		return "", err
	}
	did := ""
	if len(invalid) > 0 {
		did = "; dropped " + strings.Join(invalid, ", ")
	}
	version := s.before(i)
	if len(reached) > 0 && reached[0] {
		version = status.Version
	}
	if err := d.record(number(version), false); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s was interrupted: %s%s; the version is %d", names(files), seen[0], did, version), nil
}

func names(files []interrupted) string {
	var all []string
	for _, f := range files {
		all = append(all, f.name)
	}
	return strings.Join(all, " or ")
}

// Codes of errors about a name that exists already, or does not exist: the statement has done nothing then.
const (
	duplicateTable  = "42P07"
	duplicateObject = "42710"
	undefinedObject = "42704"
)

// undo undoes a "no-transaction" file that Postgres has refused: it drops what is incomplete and records the former
// version. Where that is not possible or fails, the database stays dirty for the next run; the error to report is the
// refusal.
func (d *driver) undo(parts script, former int, cause error) {
	var pgErr *pgconn.PgError
	if !errors.As(cause, &pgErr) || d.conn.IsClosed() {
		return
	}
	c := commandOf(parts)
	if did := map[kind]string{createIndex: duplicateTable, addValue: duplicateObject, dropIndex: undefinedObject}[c.kind]; did != pgErr.Code {
		found, err := d.inspectLeftover(c)
		if err != nil || !undoable(c, found) || d.dropInvalid(found.invalid) != nil {
			return
		}
	}
	_ = d.record(former, false)
}

// undoable reports whether nothing is left of a refused command after the invalid indexes have been dropped. A valid
// index existed before, and is another object with that name.
func undoable(c command, found leftover) bool {
	switch c.kind {
	case createIndex:
		return found.clean || len(found.invalid) > 0
	case dropIndex, addValue:
		return found.effect == notApplied
	}
	return found.effect == irrelevant
}
