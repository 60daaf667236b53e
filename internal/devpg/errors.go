package devpg

import (
	"errors"
	"fmt"
	"strings"
)

var (
	// ErrInUse means another process (or another Server of this one) holds the folder.
	ErrInUse = errors.New("in use by another server")

	// ErrNoBinaries means no usable Postgres was found on this machine.
	ErrNoBinaries = errors.New("no usable Postgres found")

	// ErrPortTaken means the port of a restarting server is used by another process.
	ErrPortTaken = errors.New("port is taken")
)

// VersionError means that the data belong to another major version of Postgres than the one found.
type VersionError struct {
	DataDir  string
	Data     int
	Binaries Binaries
}

// Error includes what to do.
func (e *VersionError) Error() string {
	return fmt.Sprintf("start Postgres %s from %s: the data in %s were made by version %d: install Postgres %d (or name its folder in %s), "+
		"or move the data away to begin with none", e.Binaries.Version, e.Binaries.Dir, e.DataDir, e.Data, e.Data, EnvBin)
}

// lastLines returns the end of a program's output, for an error.
func lastLines(text string) string {
	const keep = 15
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if len(lines) > keep {
		lines = lines[len(lines)-keep:]
	}
	return "  " + strings.Join(lines, "\n  ")
}
