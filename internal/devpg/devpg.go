// Package devpg runs a Postgres server of its own, for development and for tests.
//
// It runs on Linux, the BSDs and macOS. It finds the binaries of an installed Postgres (or fetches them, saying so),
// makes a cluster in a state folder and runs it for as long as the calling process lives: even after a kill -9 no
// server stays behind. Started by root it drops to the user postgres or nobody, since Postgres refuses to run as
// root. It serves 127.0.0.1 only, with a generated password.
//
// A production deployment brings its own Postgres; nothing but cmd and test support imports this package.
package devpg

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
)

// Config is the configuration of a server. The zero value is a development server.
type Config struct {
	// Dir holds everything of this server: data, password, port, log, lock. One server at a time may use it.
	// Defaults to the folder "postgres" in [StateDir].
	Dir string

	// Settings are postgresql.conf settings that go before the defaults, such as fsync=off for tests.
	// Defaults to none.
	Settings map[string]string

	// BinariesDir keeps downloaded binaries. Defaults to the folder "binaries" in [StateDir].
	BinariesDir string

	// Notice gets a line before each download. Defaults to standard error.
	Notice io.Writer
}

// StateDir is the folder for files that outlive a checkout: $HOMEROOM_STATE_DIR, else /var/lib/homeroom for root,
// whose home no other user can enter, else homeroom in $XDG_STATE_HOME or ~/.local/state.
func StateDir() (string, error) {
	if dir := os.Getenv("HOMEROOM_STATE_DIR"); dir != "" {
		if !filepath.IsAbs(dir) {
			return "", fmt.Errorf("HOMEROOM_STATE_DIR is %q: make it an absolute path", dir)
		}
		return dir, nil
	}
	if os.Geteuid() == 0 {
		return "/var/lib/homeroom", nil
	}
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "homeroom"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("find state folder: %w (set XDG_STATE_HOME)", err)
	}
	return filepath.Join(home, ".local", "state", "homeroom"), nil
}

// Start starts the server of cfg.Dir, creates its cluster if there is none, and returns when it accepts
// connections. ctx bounds the start only; the server then runs until [Server.Stop] or the end of this process.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	user, err := serverUser()
	if err != nil {
		return nil, err
	}
	home, err := openHome(cfg.Dir, user)
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, home: home}
	if err = s.prepare(ctx); err == nil {
		err = s.firstLaunch(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, home.close())
	}
	return s, nil
}

// Check fails with [ErrInUse], which names the process, while a folder's server runs. It changes nothing.
func Check(dir string) error {
	if !isDir(dir) {
		return nil
	}
	lock, err := lockFile(filepath.Join(dir, "lock"))
	if err != nil {
		return err
	}
	return unlockFile(lock)
}

// Remove deletes the folder of a server whose process is gone, stopping the server first should it still run. While the
// process lives the error is [ErrInUse].
func Remove(ctx context.Context, dir string) error {
	if !isDir(dir) {
		return nil
	}
	lock, err := lockFile(filepath.Join(dir, "lock"))
	if err != nil {
		return fmt.Errorf("lock folder %s: %w", dir, err)
	}
	h := &home{dir: dir, lock: lock}
	if err := h.stopOrphan(ctx); err != nil {
		return errors.Join(err, h.close())
	}
	return errors.Join(os.RemoveAll(dir), h.close())
}

// prepare makes the folder ready for the start of a postmaster.
func (s *Server) prepare(ctx context.Context) (err error) {
	major, err := s.home.dataMajor()
	if err != nil {
		return err
	}
	if s.binaries, err = s.cfg.binariesFor(ctx, s.home.user, major); err != nil {
		return err
	}
	if major != 0 && major != s.binaries.Major {
		return &VersionError{DataDir: s.home.data(), Data: major, Binaries: s.binaries}
	}
	if s.password, err = s.home.ensurePassword(major != 0); err != nil {
		return err
	}
	if err := s.home.stopOrphan(ctx); err != nil {
		return err
	}
	if major == 0 {
		return s.home.initialise(ctx, s.binaries, s.password, s.cfg.Settings["fsync"] == "off")
	}
	return nil
}

// withDefaults returns a copy with defaults.
func (cfg Config) withDefaults() (Config, error) {
	if cfg.Dir == "" || cfg.BinariesDir == "" {
		state, err := StateDir()
		if err != nil {
			return cfg, err
		}
		if cfg.Dir == "" {
			cfg.Dir = filepath.Join(state, "postgres")
		}
		if cfg.BinariesDir == "" {
			cfg.BinariesDir = filepath.Join(state, "binaries")
		}
	}
	for _, dir := range []*string{&cfg.Dir, &cfg.BinariesDir} {
		abs, err := filepath.Abs(*dir)
		if err != nil {
			return cfg, fmt.Errorf("resolve folder %s: %w", *dir, err)
		}
		*dir = abs
	}
	if cfg.Notice == nil {
		cfg.Notice = os.Stderr
	}
	settings := defaultSettings()
	maps.Copy(settings, cfg.Settings)
	cfg.Settings = settings
	return cfg, nil
}

// defaultSettings are for a developer's machine. fsync stays on: a development database may hold work.
func defaultSettings() map[string]string {
	settings := map[string]string{
		"max_connections": "200",
		"shared_buffers":  "128MB",
		"timezone":        "UTC",
		"log_timezone":    "UTC",
	}
	if runtime.GOOS == "linux" {
		// Recovery otherwise opens and syncs every file one by one: minutes with thousands of databases.
		settings["recovery_init_sync_method"] = "syncfs"
	}
	return settings
}
