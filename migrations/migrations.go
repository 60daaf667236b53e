// Package migrations holds the SQL of the catalog and of a tenant, and applies it atomically.
//
// golang-migrate reads and orders the files; a database driver of this package runs them, so that a migration and its
// version commit together. A file that cannot run in a transaction may be interrupted between the two: the next run
// checks what it left, cleans up, and continues. The driver is in this package because the catalog and the tenants
// both need it and do not import each other; no other package imports golang-migrate. The version table is
// golang-migrate's own: its command can read and migrate these databases.
package migrations

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
)

//go:embed catalog/*.sql tenant/*.sql
var embedded embed.FS

var (
	catalog = sync.OnceValue(func() *Set { return mustLoad("catalog") })
	tenant  = sync.OnceValue(func() *Set { return mustLoad("tenant") })
)

// Catalog returns the schema of the catalog.
func Catalog() *Set { return catalog() }

// Tenant returns the schema that every school's database gets, unless the operator configures another (see [Load]).
func Tenant() *Set { return tenant() }

// mustLoad panics instead of returning an error: a test loads the embedded files, so that a binary with unreadable
// ones is never released.
func mustLoad(folder string) *Set {
	sub, err := fs.Sub(embedded, folder)
	if err != nil {
		panic(fmt.Sprintf("open embedded migrations %s: %v", folder, err))
	}
	set, err := Load(sub)
	if err != nil {
		panic(fmt.Sprintf("load embedded migrations %s: %v", folder, err))
	}
	return set
}

// Set is the migrations of one schema, in order. It is read once and never changes, so that [Set.Up] runs what
// [Set.Hash] names even when the folder changes meanwhile.
type Set struct {
	files []File
	hash  string
}

// File is one step of a schema.
type File struct {
	// Version is the number in the file's name.
	Version uint
	// Name is the name of the up file, such as "000003_orders.up.sql".
	Name string
	// Transactional is false for a file that starts with "-- no-transaction": its one statement, such as CREATE INDEX
	// CONCURRENTLY, runs outside a transaction, and a crash during it leaves the database dirty for the next [Set.Up].
	Transactional bool

	label    string
	up       string
	downName string
	down     string
}

// SQL returns the text of the up file.
func (f File) SQL() string { return f.up }

// Latest returns the newest version, to which [Set.Up] migrates.
func (s *Set) Latest() uint { return s.files[len(s.files)-1].Version }

// Hash returns twelve hexadecimal digits that change with the name or the content of any up file. It is used in the
// name of a template database.
func (s *Set) Hash() string { return s.hash }

// Lineage identifies the schema by its first up file, which never changes: sets of one lineage are versions of one
// schema. It keeps the migrations of one schema from the databases of another, where a version number means something
// else.
func (s *Set) Lineage() string { return hashOf(s.files[:1]) }

// WindowsLineage returns the lineage that earlier programs gave to tenants when the first file had the line ends of
// Windows.
func (s *Set) WindowsLineage() string {
	first := s.files[0]
	first.up = strings.ReplaceAll(first.up, "\n", "\r\n")
	return hashOf([]File{first})
}

// Files returns the migrations, oldest first.
func (s *Set) Files() []File { return slices.Clone(s.files) }

// find returns the index of a version's file.
func (s *Set) find(version uint) (int, bool) {
	return slices.BinarySearchFunc(s.files, version, func(f File, v uint) int {
		switch {
		case f.Version < v:
			return -1
		case f.Version > v:
			return 1
		}
		return 0
	})
}

// ContentHash returns a hash of the content of an up file, without its name and line ends.
func (f File) ContentHash() string {
	sum := sha256.Sum256([]byte(f.up))
	return hex.EncodeToString(sum[:])
}

// hashOf hashes the up files only: a corrected down file must not make a new template.
func hashOf(files []File) string {
	sum := sha256.New()
	for _, f := range files {
		fmt.Fprintf(sum, "%s %d\n%s", f.Name, len(f.up), f.up)
	}
	return hex.EncodeToString(sum.Sum(nil))[:12]
}
