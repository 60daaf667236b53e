package migrations

import (
	"fmt"
	"strings"
)

// step runs one file, up or down.
type step struct {
	file File
	down bool
	to   uint // the version it leads to
}

func (s step) name() string {
	if s.down {
		return s.file.downName
	}
	return s.file.Name
}

// by returns the number of steps as golang-migrate counts them: 1 or -1.
func (s step) by() int {
	if s.down {
		return -1
	}
	return 1
}

// Between lists the files that run between two versions, in order: up files, or down files newest first. Both
// versions must be in the set, or 0 for before the first; a missing down file is an error.
func (s *Set) Between(from, to uint) ([]string, error) {
	steps, err := s.steps(from, to)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(steps))
	for i, step := range steps {
		names[i] = step.name()
	}
	return names, nil
}

func (s *Set) steps(from, to uint) ([]step, error) {
	first, err := s.count(from)
	if err != nil {
		return nil, err
	}
	end, err := s.count(to)
	if err != nil {
		return nil, err
	}
	var steps []step
	for i := first; i < end; i++ {
		steps = append(steps, step{file: s.files[i], to: s.files[i].Version})
	}
	for i := first - 1; i >= end; i-- {
		if s.files[i].downName == "" {
			return nil, fmt.Errorf("migrate from version %d down to %d: there is no %s.down.sql", from, to, strings.TrimSuffix(s.files[i].Name, ".up.sql"))
		}
		steps = append(steps, step{file: s.files[i], down: true, to: s.before(i)})
	}
	return steps, nil
}

// count returns how many files lead to a version.
func (s *Set) count(version uint) (int, error) {
	i, ours := s.find(version)
	switch {
	case version == 0:
		return 0, nil
	case !ours:
		return 0, fmt.Errorf("there is no version %d", version)
	}
	return i + 1, nil
}

// before returns the version before the i-th file's, 0 before the first.
func (s *Set) before(i int) uint {
	if i == 0 {
		return 0
	}
	return s.files[i-1].Version
}
