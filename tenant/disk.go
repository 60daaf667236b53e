package tenant

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"homeroom/internal/postgres"
)

// ErrDiskLow means that the server has less free disk than the configured minimum, or has just reported a full disk. No
// database is created there until that has changed: a full disk stops Postgres for all tenants.
var ErrDiskLow = errors.New("less free disk than the minimum")

const (
	// diskFresh is how long a measurement is cached.
	diskFresh = time.Second
	// diskFull is how long the disk counts as low after Postgres has reported that it is full.
	diskFull = 30 * time.Second
)

// disk caches the state of a server's disk.
type disk struct {
	sync.Mutex
	at        time.Time
	free      int64
	known     bool
	fullUntil time.Time
}

// freeDisk returns the free bytes on the server's disk. known is true if the data directory is on this machine and
// readable, or the server has the function of free_disk.sql. It is measured at most once a second.
func (s *Server) freeDisk(ctx context.Context, conn *pgx.Conn) (int64, bool, error) {
	s.disk.Lock()
	defer s.disk.Unlock()
	if time.Since(s.disk.at) < diskFresh {
		return s.disk.free, s.disk.known, nil
	}
	free, known, err := measure(ctx, conn)
	if err != nil {
		return 0, false, fmt.Errorf("measure free disk of server %s: %w", s.cfg.Name, err)
	}
	s.disk.at, s.disk.free, s.disk.known = time.Now(), free, known
	return free, known, nil
}

// checkDisk fails with [ErrDiskLow] when no database may be created on the server now.
func (s *Server) checkDisk(ctx context.Context, conn *pgx.Conn) error {
	s.disk.Lock()
	full := time.Now().Before(s.disk.fullUntil)
	s.disk.Unlock()
	if full {
		return fmt.Errorf("%w: Postgres has just reported that it is full", ErrDiskLow)
	}
	if s.cfg.MinFreeDisk == 0 {
		return nil
	}
	free, known, err := s.freeDisk(ctx, conn)
	if err != nil {
		return err
	}
	if known && free < s.cfg.MinFreeDisk {
		return fmt.Errorf("%w: %d bytes are free on server %s, %d are required", ErrDiskLow, free, s.cfg.Name, s.cfg.MinFreeDisk)
	}
	return nil
}

// CheckFreeDisk fails with [ErrDiskLow], which says how much is free, when no database may be created on the server
// now.
func (s *Server) CheckFreeDisk(ctx context.Context) error {
	conn, err := s.maintenance.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("connect to server %s: %w", s.cfg.Name, err)
	}
	defer conn.Release()
	return s.checkDisk(ctx, conn.Conn())
}

// createDatabase runs a CREATE DATABASE, unless the disk is low.
func (s *Server) createDatabase(ctx context.Context, conn *pgx.Conn, statement string) error {
	if err := s.checkDisk(ctx, conn); err != nil {
		return err
	}
	_, err := conn.Exec(ctx, statement)
	if postgres.IsCode(err, "53100") { // disk_full
		s.disk.Lock()
		s.disk.fullUntil = time.Now().Add(diskFull)
		s.disk.Unlock()
		return fmt.Errorf("%w: %w", ErrDiskLow, err)
	}
	return err
}

// measure reads the free disk itself, or else calls the function. It only calls a superuser's function: another role's
// would run with our privileges.
func measure(ctx context.Context, conn *pgx.Conn) (free int64, known bool, err error) {
	var folder *string
	var address *netip.Addr
	var port int
	var callable bool
	err = conn.QueryRow(ctx, `
		select (select setting from pg_settings where name = 'data_directory'), inet_server_addr(), current_setting('port')::int,
			exists (
				select from pg_proc
				join pg_roles on pg_roles.oid = proowner
				where pg_proc.oid = to_regprocedure('public.homeroom_free_disk()') and rolsuper and prorettype = 'bigint'::regtype
					and has_function_privilege(pg_proc.oid, 'execute'))`).Scan(&folder, &address, &port, &callable)
	if err != nil {
		return 0, false, err
	}
	if folder != nil && *folder != "" && (address == nil || address.IsLoopback()) {
		here, err := isLocalDataDirectory(ctx, conn, *folder, port)
		if err != nil {
			return 0, false, err
		}
		if here {
			if free, known := freeBytes(*folder, filepath.Join(*folder, "pg_wal")); known {
				return free, true, nil
			}
		}
	}
	if !callable {
		return 0, false, nil
	}
	if err := conn.QueryRow(ctx, "select public.homeroom_free_disk()").Scan(&free); err != nil {
		return 0, false, fmt.Errorf("ask homeroom_free_disk(): %w", err)
	}
	return free, true, nil
}

// isLocalDataDirectory reports whether a folder of this machine is the server's data directory, rather than another one
// with the same path: a tunnel and a container look local too. Both the cluster's identifier and the port must be the
// server's.
func isLocalDataDirectory(ctx context.Context, conn *pgx.Conn, folder string, port int) (bool, error) {
	control, err := os.ReadFile(filepath.Join(folder, "global", "pg_control"))
	if err != nil || len(control) < 8 {
		return false, nil //nolint:nilerr // whatever the cause, we cannot look there
	}
	process, err := os.ReadFile(filepath.Join(folder, "postmaster.pid"))
	if err != nil {
		return false, nil //nolint:nilerr // as above
	}
	lines := strings.Split(string(process), "\n")
	if len(lines) < 4 || strings.TrimSpace(lines[3]) != strconv.Itoa(port) {
		return false, nil
	}
	identifier, err := systemIdentifier(ctx, conn)
	return err == nil && binary.NativeEndian.Uint64(control) == identifier, err
}
