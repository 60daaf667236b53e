package migrations

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/golang-migrate/migrate/v4/source"
)

const namePattern = "<number>_<name>.up.sql or <number>_<name>.down.sql, such as 000001_pupils.up.sql"

// migrationName matches the names that [Load] reads or refuses: those that golang-migrate would read, whatever their
// ending and case, and names of SQL files. Others, for example a README, are ignored.
var migrationName = regexp.MustCompile(`(?i)^[0-9].*\.(up|down)(\.|$)|\.(sql|pgsql|psql)$`)

// Load reads the migrations of a folder: the files of its top level whose names end in .up.sql or .down.sql. Numbers
// may have gaps, and may be timestamps, as golang-migrate makes them. A down file may be missing, but each needs its
// up file. Load refuses everything that would fail later in a school's database, with file and line, and reports all
// errors at once. It reads line ends as "\n" and removes a byte order mark, so that both change neither what runs nor
// any hash.
//
// A database records only its newest number. A file that is added later with a lower number would therefore never
// run: number new files above all others.
func Load(fsys fs.FS) (*Set, error) {
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	l := loader{fsys: fsys, files: map[uint]*File{}}
	for _, entry := range entries {
		if !migrationName.MatchString(entry.Name()) {
			continue
		}
		if entry.IsDir() {
			l.refuse("%s: is a folder: a migration is a file", entry.Name())
			continue
		}
		l.read(entry.Name())
	}
	files := l.sorted()
	if len(files) == 0 && len(l.errs) == 0 {
		return nil, fmt.Errorf("load migrations: the folder has none: it needs files named %s", namePattern)
	}
	if len(l.errs) > 0 {
		return nil, fmt.Errorf("load migrations: %w", errors.Join(l.errs...))
	}
	return &Set{files: files, hash: hashOf(files)}, nil
}

type loader struct {
	fsys  fs.FS
	files map[uint]*File
	errs  []error
}

func (l *loader) refuse(format string, args ...any) {
	l.errs = append(l.errs, fmt.Errorf(format, args...))
}

// read adds one file to its version.
func (l *loader) read(name string) {
	parsed, err := source.Parse(name)
	if err != nil || !strings.HasSuffix(name, "."+string(parsed.Direction)+".sql") || parsed.Version == 0 {
		l.refuse("%s: a migration is named %s, with a number from 1: rename it, or move it out of the folder", name, namePattern)
		return
	}
	if parsed.Version > math.MaxInt64 {
		l.refuse("%s: its number is above %d, the largest that the version table can hold", name, math.MaxInt64)
		return
	}
	content, err := fs.ReadFile(l.fsys, name)
	if err != nil {
		l.refuse("read %s: %w", name, err)
		return
	}
	text := normalized(string(content))
	if err := readable(text); err != nil {
		l.refuse("%s: %w", name, err)
		return
	}
	parts, err := parse(text)
	if err != nil {
		l.refuse("%s:%w", name, err)
		return
	}
	file := l.files[parsed.Version]
	if file == nil {
		file = &File{Version: parsed.Version}
		l.files[parsed.Version] = file
	}
	switch taken := file.Name; {
	case parsed.Direction == source.Up && taken != "", parsed.Direction == source.Down && file.downName != "":
		if parsed.Direction == source.Down {
			taken = file.downName
		}
		l.refuse("%s: %s has the same number: give the newer one the next free number", name, taken)
	case parsed.Direction == source.Up:
		file.Name, file.up, file.label, file.Transactional = name, text, parsed.Identifier, parts.transactional
	default:
		file.downName, file.down = name, text
	}
}

// sorted returns the files by version, and refuses down files without an up file.
func (l *loader) sorted() []File {
	files := make([]File, 0, len(l.files))
	for _, f := range l.files {
		if f.Name != "" && f.downName != "" && strings.TrimSuffix(f.Name, ".up.sql") != strings.TrimSuffix(f.downName, ".down.sql") {
			l.refuse("%s: its up file is named %s: the two names must match", f.downName, f.Name)
		}
		if f.Name == "" && len(l.errs) == 0 {
			l.refuse("%s: there is no up file with this number", f.downName)
		}
		files = append(files, *f)
	}
	slices.SortFunc(files, func(a, b File) int {
		if a.Version < b.Version {
			return -1
		}
		return 1
	})
	return files
}

// normalized returns a text without what editors and version control systems change by themselves: the byte order
// mark and the carriage returns of line ends.
func normalized(text string) string {
	return strings.ReplaceAll(strings.TrimPrefix(text, "\ufeff"), "\r\n", "\n")
}

// readable refuses bytes that cannot be sent to Postgres.
func readable(text string) error {
	switch {
	case !utf8.ValidString(text):
		return errors.New("not UTF-8: save it in that encoding")
	case strings.ContainsRune(text, 0):
		return errors.New("contains a zero byte")
	}
	return nil
}
