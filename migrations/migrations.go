// Package migrations holds the SQL of the catalog and of a tenant, and applies it atomically.
//
// golang-migrate reads and orders the files; a database driver of our own runs them, so that a migration and its
// version commit together. A file that cannot run in a transaction may be interrupted between the two: the next run looks
// what it left, cleans up, and goes on. The driver is here, at the bottom, because the catalog and the tenants both need it and do
// not know each other; no other package imports golang-migrate. The table is golang-migrate's own: its command reads
// and continues our databases.
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

// Catalog is the schema of the catalog.
func Catalog() *Set { return catalog() }

// Tenant is the schema every school's database gets, unless the operator brings another (see [Load]).
func Tenant() *Set { return tenant() }

// mustLoad panics rather than returns: a test loads the embedded files, so a binary with unreadable ones is never built.
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

// Set is the migrations of one schema, in order. It is read once and never changes, so what [Set.Hash] names is what
// [Set.Up] runs, even when the folder changes meanwhile.
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

// SQL is the text of the up file.
func (f File) SQL() string { return f.up }

// Latest is the newest version, the one [Set.Up] leads to.
func (s *Set) Latest() uint { return s.files[len(s.files)-1].Version }

// Hash is twelve hexadecimal digits that change with the name or the content of any up file. It is fit for the name of
// a template database.
func (s *Set) Hash() string { return s.hash }

// Lineage names the schema by its first up file, which never changes: sets of one lineage are versions of one schema. It
// keeps the migrations of one schema from the databases of another, where a version number means something else.
func (s *Set) Lineage() string { return hashOf(s.files[:1]) }

// WindowsLineage is the lineage that earlier programs gave to tenants when the first file had the line ends of Windows.
func (s *Set) WindowsLineage() string {
	first := s.files[0]
	first.up = strings.ReplaceAll(first.up, "\n", "\r\n")
	return hashOf([]File{first})
}

// Files are the migrations, oldest first.
func (s *Set) Files() []File { return slices.Clone(s.files) }

// find returns the place of a version among the files.
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

// ContentHash is that of what an up file does, whatever its name and its line ends.
func (f File) ContentHash() string {
	sum := sha256.Sum256([]byte(f.up))
	return hex.EncodeToString(sum[:])
}

// hashOf covers the up files only: a corrected down file must not make a new template.
func hashOf(files []File) string {
	sum := sha256.New()
	for _, f := range files {
		fmt.Fprintf(sum, "%s %d\n%s", f.Name, len(f.up), f.up)
	}
	return hex.EncodeToString(sum.Sum(nil))[:12]
}
