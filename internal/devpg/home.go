package devpg

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"homeroom/internal/secret"
)

// home is the folder of one server. This process has an exclusive lock on its file "lock", which the kernel
// releases at the end of the process.
//
// The outer folder, with password and port, belongs to the caller. The folder "cluster" inside belongs to the user the
// server runs as.
type home struct {
	dir  string
	user account
	lock *os.File
}

func (h *home) data() string     { return filepath.Join(h.dir, "cluster", "data") }
func (h *home) logFile() string  { return filepath.Join(h.dir, "postgres.log") }
func (h *home) portFile() string { return filepath.Join(h.dir, "port") }
func (h *home) pidFile() string  { return filepath.Join(h.data(), "postmaster.pid") }

// openHome creates the folder if it is missing, and locks it.
func openHome(dir string, user account) (_ *home, err error) {
	if err := makeReachable(dir, user); err != nil {
		return nil, err
	}
	h := &home{dir: dir, user: user}
	if h.lock, err = lockFile(filepath.Join(dir, "lock")); err != nil {
		return nil, fmt.Errorf("lock folder %s: %w", dir, err)
	}
	if err := h.prepare(); err != nil {
		return nil, errors.Join(err, h.close())
	}
	return h, nil
}

func (h *home) prepare() error {
	cluster := filepath.Join(h.dir, "cluster")
	if err := os.MkdirAll(cluster, 0o700); err != nil {
		return fmt.Errorf("create cluster folder: %w", err)
	}
	if err := h.user.chown(cluster); err != nil {
		return err
	}
	// Left by a killed initdb. No other process works here, since this one holds the lock.
	leftovers, err := filepath.Glob(filepath.Join(cluster, "init-*"))
	if err != nil {
		return fmt.Errorf("list unfinished clusters: %w", err)
	}
	for _, dir := range leftovers {
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("remove unfinished cluster: %w", err)
		}
	}
	return nil
}

// close releases the folder for other processes.
func (h *home) close() error {
	if err := unlockFile(h.lock); err != nil {
		return fmt.Errorf("unlock folder %s: %w", h.dir, err)
	}
	return nil
}

// dataMajor is the major version of the data, 0 if there are none yet.
func (h *home) dataMajor() (int, error) {
	text, err := os.ReadFile(filepath.Join(h.data(), "PG_VERSION"))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read version of the data: %w", err)
	}
	major, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0, fmt.Errorf("read version of the data in %s: %w", h.data(), err)
	}
	return major, nil
}

// ensurePassword reads or creates the superuser's password. It is on disk before the cluster exists.
func (h *home) ensurePassword(needed bool) (secret.String, error) {
	file := filepath.Join(h.dir, "password")
	text, err := os.ReadFile(file)
	switch {
	case err == nil && len(text) > 0:
		return secret.String(text), nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("read password: %w", err)
	case needed:
		return "", fmt.Errorf("password file %s is missing or empty, but the data in %s need it: bring it back, or remove %s to start afresh",
			file, h.data(), h.dir)
	}
	password := rand.Text()
	if err := os.WriteFile(file, []byte(password), 0o600); err != nil {
		return "", fmt.Errorf("write password: %w", err)
	}
	return secret.String(password), nil
}

// initialise creates the cluster in a temporary folder and renames that when it is complete, so that a kill at any time
// leaves either no cluster or a complete one.
func (h *home) initialise(ctx context.Context, bin Binaries, password secret.String, noSync bool) error {
	dir, err := os.MkdirTemp(filepath.Join(h.dir, "cluster"), "init-")
	if err != nil {
		return fmt.Errorf("create folder for a new cluster: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	file := filepath.Join(dir, "password")
	if err := os.WriteFile(file, []byte(password.Reveal()), 0o600); err != nil {
		return fmt.Errorf("hand password to initdb: %w", err)
	}
	if err := errors.Join(h.user.chown(dir), h.user.chown(file)); err != nil {
		return err
	}
	data := filepath.Join(dir, "data")
	args := append([]string{
		"--pgdata=" + data, "--username=" + superuser, "--pwfile=" + file,
		"--auth=scram-sha-256", "--encoding=UTF8",
	}, localeArgs(bin.Major)...)
	if noSync {
		args = append(args, "--no-sync")
	}
	cmd := exec.CommandContext(ctx, bin.path("initdb"), args...)
	cmd.Dir, cmd.Env = dir, environment()
	h.user.apply(cmd)
	setParentDeathSignal(cmd, true)
	runtime.LockOSThread() // see setParentDeathSignal
	defer runtime.UnlockOSThread()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("run initdb: %w\n%s", errors.Join(err, ctx.Err()), lastLines(string(out)))
	}
	if err := os.Rename(data, h.data()); err != nil {
		return fmt.Errorf("move new cluster into place: %w", err)
	}
	return nil
}

// localeArgs select the byte order of C with Unicode's letters. Only Linux has that as a locale of the system; elsewhere
// Postgres has its own since version 17.
func localeArgs(major int) []string {
	switch {
	case runtime.GOOS == "linux":
		return []string{"--locale=C.UTF-8"}
	case major >= 17:
		return []string{"--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"}
	default:
		return []string{"--locale=C"}
	}
}
