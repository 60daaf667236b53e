package migrations

import (
	"errors"
	"io"
	"io/fs"
	"strconv"
	"strings"

	"github.com/golang-migrate/migrate/v4/source"
)

// files is a set as golang-migrate reads it, from memory: so the files that were checked and hashed are those that
// run.
type files struct{ set *Set }

var _ source.Driver = files{}

// Open implements source.Driver. It always fails, since the files are loaded with Load.
func (files) Open(string) (source.Driver, error) {
	return nil, errors.New("open migration files: load them with Load")
}

// Close implements source.Driver.
func (files) Close() error { return nil }

// First implements source.Driver.
func (f files) First() (uint, error) { return f.set.files[0].Version, nil }

// Prev implements source.Driver.
func (f files) Prev(version uint) (uint, error) { return f.beside(version, -1) }

// Next implements source.Driver.
func (f files) Next(version uint) (uint, error) { return f.beside(version, 1) }

// ReadUp implements source.Driver.
func (f files) ReadUp(version uint) (io.ReadCloser, string, error) {
	i, ours := f.set.find(version)
	if !ours {
		return nil, "", missing(version)
	}
	file := f.set.files[i]
	return io.NopCloser(strings.NewReader(file.up)), file.label, nil
}

// ReadDown implements source.Driver.
func (f files) ReadDown(version uint) (io.ReadCloser, string, error) {
	i, ours := f.set.find(version)
	if !ours || f.set.files[i].downName == "" {
		return nil, "", missing(version)
	}
	file := f.set.files[i]
	return io.NopCloser(strings.NewReader(file.down)), file.label, nil
}

func (f files) beside(version uint, step int) (uint, error) {
	i, ours := f.set.find(version)
	if i += step; !ours || i < 0 || i >= len(f.set.files) {
		return 0, missing(version)
	}
	return f.set.files[i].Version, nil
}

// missing returns the error that golang-migrate expects.
func missing(version uint) error {
	return &fs.PathError{Op: "find migration", Path: strconv.FormatUint(uint64(version), 10), Err: fs.ErrNotExist}
}
