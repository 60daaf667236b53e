package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"homeroom/internal/devpg"
)

const (
	smallDisk = 420 << 20
	floor     = 160 << 20
)

// TestTheDiskFillsUp fills a server's disk below the floor. Schools that get a spare sign up as usual; the others are
// told to wait, and nothing is left half built; Postgres keeps running. When there is room again, everything
// continues by itself.
func TestTheDiskFillsUp(t *testing.T) {
	t.Parallel()
	dir, least := diskFor(t)
	postgres := startOn(t, dir)
	w := newWorld(t, postgres.URL("catalog"), postgres.URL("postgres"), 2)
	w.env = []string{fmt.Sprintf("HOMEROOM_MIN_FREE_DISK=%d", least)}
	w.start(t).stopWhen(t, w)
	filler := fill(t, dir, least-(32<<20))
	p := w.start(t) // another process, since a measurement is cached for a second

	clients := newClientPool(func() string { return p.url })
	for n := range 2 {
		if status, body, err := clients.post(t, newSchool(n)); status != http.StatusCreated {
			t.Errorf("with a spare: %d %s %v", status, body, err)
		}
	}
	late := make([]school, 4)
	for n := range late {
		late[n] = newSchool(2 + n)
		status, body, err := clients.post(t, late[n])
		if err != nil || status != http.StatusServiceUnavailable && status != http.StatusAccepted {
			t.Errorf("without a spare: %d %s %v", status, body, err)
		}
	}
	eventually(t, "the server accepts no new databases", func() (bool, error) {
		n, err := w.number(t.Context(), "select count(*) from servers where closed_because is not null")
		return n == 1, err
	})
	if status, after := retryAfter(t, p, newSchool(9)); status != http.StatusServiceUnavailable || after == "" {
		t.Errorf("answered %d, Retry-After %q", status, after)
	}
	if n, err := w.number(t.Context(), `select count(*) from pg_database where datname ~ '^t_[a-z2-7]{26}$'`); err != nil || n != 2 {
		t.Errorf("%d databases, %v; want the 2 of the spares", n, err)
	}

	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	for _, school := range late {
		clients.signUp(t, school)
	}
	w.waitIdle(t)
	clients.checkRestored(t, w)
	w.audit(t)
	auditServer(t, postgres.URL("postgres"), w.known(t))
	select {
	case <-postgres.Done():
		t.Error("Postgres has ended")
	default:
	}
	if log, err := os.ReadFile(postgres.LogFile()); err != nil || strings.Contains(string(log), "PANIC") {
		t.Errorf("Postgres panicked, or says nothing (%v)", err)
	}
}

// post sends a sign-up once, and stores the answer.
func (c *clientPool) post(t *testing.T, s school) (status int, body string, err error) {
	t.Helper()
	status, body, err = s.post(t.Context(), c.url())
	if wrong := c.note(s, status, body, err); wrong != nil {
		t.Error(wrong)
	}
	return status, body, err
}

// retryAfter is the header of that name in the answer to a sign-up.
func retryAfter(t *testing.T, p *process, s school) (status int, after string) {
	t.Helper()
	resp, err := http.Post(p.url+"/users", "application/json", strings.NewReader(s.Body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode, resp.Header.Get("Retry-After")
}

// diskFor returns a folder on a disk, and how much of that disk must stay free for new databases. The disk is a small
// one in memory where the test may mount one; otherwise it is a shared one, with the floor just below what is free
// now.
func diskFor(t *testing.T) (dir string, least int64) {
	t.Helper()
	dir, err := os.MkdirTemp("", "homeroom-disk-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if mountSmall(dir) == nil {
		t.Cleanup(func() {
			if err := unmount(dir); err != nil {
				t.Error(err)
			}
		})
		return open(t, dir), floor
	}
	if free(t, "/dev/shm") > 4<<30 { // other tests do not use this disk
		if dir, err = os.MkdirTemp("/dev/shm", "homeroom-disk-"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
	}
	return open(t, dir), free(t, dir) - 512<<20
}

// open gives the user that runs Postgres access to a folder.
func open(t *testing.T, dir string) string {
	t.Helper()
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	return dir
}

// startOn runs a Postgres whose data directory is in the folder.
func startOn(t *testing.T, dir string) *devpg.Server {
	t.Helper()
	postgres, err := devpg.Start(t.Context(), devpg.Config{Dir: filepath.Join(dir, "server"), Settings: map[string]string{
		"fsync": "off", "max_connections": "100", "max_wal_size": "48MB", "min_wal_size": "32MB",
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 30*time.Second)
		defer cancel()
		if err := postgres.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return postgres
}

// free returns how much an ordinary user can write; 0 where the folder does not exist.
func free(t *testing.T, dir string) int64 {
	t.Helper()
	var stat syscall.Statfs_t
	if err := syscall.Statfs(dir, &stat); err != nil {
		return 0
	}
	return int64(stat.Bavail) * int64(stat.Bsize) //nolint:unconvert // the types differ between systems
}

// fill writes a file until only this much is free, and returns its name.
func fill(t *testing.T, dir string, least int64) string {
	t.Helper()
	file, err := os.Create(filepath.Join(dir, "filler"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for chunk := make([]byte, 1<<20); free(t, dir) > least; {
		if _, err := file.Write(chunk); err != nil {
			t.Fatal(err)
		}
	}
	return file.Name()
}
