package tenant

import (
	"context"
	_ "embed"
)

// FreeDiskFunction is the SQL of the function that returns the free disk of a server on another machine.
//
//go:embed free_disk.sql
var FreeDiskFunction string

// FreeDisk returns the free bytes on the server's disk, and whether they are known.
func (s *Server) FreeDisk(ctx context.Context) (free int64, known bool, err error) {
	conn, err := s.maintenance.Acquire(ctx)
	if err != nil {
		return 0, false, err
	}
	defer conn.Release()
	return s.freeDisk(ctx, conn.Conn())
}

// Changed reports whether any step has changed something.
func (r Result) Changed() bool {
	for _, step := range r.Steps {
		if step.Changed != "" {
			return true
		}
	}
	return false
}
