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

// prefix is the prefix of names of folders, before the id of their process.
const prefix = "homeroom-pgtest-"

// newFolder creates the folder of a server, which other users may enter: under root, Postgres is another user.
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

// sweepOnce removes servers of killed test processes. Its failure is no failure of a test.
var sweepOnce = sync.OnceFunc(func() {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	_ = Sweep(ctx, os.TempDir())
})

// Sweep removes from dir the servers whose test process has ended. It ignores those of other users.
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
