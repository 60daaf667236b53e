package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"homeroom/internal/devpg"
)

// prefix begins the names of our folders; the number of the process that owns it follows.
const prefix = "homeroom-pgtest-"

// newFolder makes the folder of a server, which other users may pass through: run by root, Postgres is one of them.
func newFolder() (string, error) {
	dir, err := os.MkdirTemp("", fmt.Sprintf("%s%d-", prefix, os.Getpid()))
	if err != nil {
		return "", fmt.Errorf("create folder for a server: %w", err)
	}
	if err := os.Chmod(dir, 0o711); err != nil { //nolint:gosec // see above
		return "", fmt.Errorf("open folder for a server: %w", err)
	}
	return dir, nil
}

// sweepOnce removes what killed test processes left, best effort: a failure here is no failure of a test.
var sweepOnce = sync.OnceFunc(func() {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	_ = Sweep(ctx, os.TempDir())
})

// Sweep removes from dir the servers whose test process is gone. Those of other users it leaves alone.
func Sweep(ctx context.Context, dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("list temporary folders: %w", err)
	}
	var errs []error
	for _, entry := range entries {
		owner, _, _ := strings.Cut(strings.TrimPrefix(entry.Name(), prefix), "-")
		pid, err := strconv.Atoi(owner)
		if err != nil || !strings.HasPrefix(entry.Name(), prefix) || !entry.IsDir() {
			continue
		}
		if info, err := entry.Info(); err != nil || !ours(info) || alive(pid) {
			continue
		}
		errs = append(errs, devpg.Remove(ctx, filepath.Join(dir, entry.Name())))
	}
	return errors.Join(errs...)
}
