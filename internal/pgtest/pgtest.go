// Package pgtest gives every test a real Postgres database of its own.
//
// `go test ./...` needs no setup: each test process starts one server on a free port, in a temporary folder,
// with durability switched off, and stops it at the end. The server of a killed process ends too; its folder is removed
// by the next run. With HOMEROOM_TEST_POSTGRES_URL, the address of a superuser's database, [Database] and [Clone] use that
// server instead.
//
//	func TestMain(m *testing.M) { pgtest.Main(m) }
//
//	func TestSomething(t *testing.T) {
//		pool, err := pgxpool.New(t.Context(), pgtest.Database(t))
package pgtest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"sync"
	"testing"
	"time"

	"homeroom/internal/devpg"
)

// EnvURL names the environment variable with the server to use instead of a new one.
const EnvURL = "HOMEROOM_TEST_POSTGRES_URL"

const (
	startTimeout = 10 * time.Minute // a first run may have to download Postgres
	stopTimeout  = 30 * time.Second
)

// Main runs the tests, stops the server and removes its folder. Call it in TestMain; it does not return.
func Main(m *testing.M) {
	code := m.Run()
	if err := shared.stop(); err != nil {
		fmt.Fprintln(os.Stderr, "pgtest:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// Server returns the server of this test process, started by the first call. It loses the latest transactions in a
// crash; tests that crash or stop a server use a [Private] one.
func Server(t testing.TB) *devpg.Server {
	t.Helper()
	server, err := shared.server()
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	return server
}

// Private returns a server for one test, to crash, to stop, or with other settings. It is stopped and removed when the
// test ends. Acknowledged transactions survive [devpg.Server.Crash], but not a power cut.
func Private(t testing.TB, settings map[string]string) *devpg.Server {
	t.Helper()
	all := map[string]string{"fsync": "off", "max_connections": "300"}
	maps.Copy(all, settings)
	server, dir, err := start(all)
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	t.Cleanup(func() {
		if err := remove(server, dir); err != nil {
			t.Errorf("pgtest: %v", err)
		}
	})
	return server
}

// instance is the server that the tests of one process share.
type instance struct {
	mu     sync.Mutex
	tried  bool
	srv    *devpg.Server
	dir    string
	err    error
	admins *admins
}

var shared instance

// server starts it once; every test gets the same error of a failed start.
func (i *instance) server() (*devpg.Server, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if !i.tried {
		i.tried = true
		i.srv, i.dir, i.err = start(map[string]string{
			"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "300",
		})
	}
	return i.srv, i.err
}

// stop stops the server.
func (i *instance) stop() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	var err error
	if i.admins != nil {
		err = i.admins.close()
	}
	if i.srv != nil {
		err = errors.Join(err, remove(i.srv, i.dir))
	}
	return err
}

// start runs a server in a new temporary folder.
func start(settings map[string]string) (*devpg.Server, string, error) {
	sweepOnce()
	dir, err := newFolder()
	if err != nil {
		return nil, "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	server, err := devpg.Start(ctx, devpg.Config{Dir: dir, Settings: settings})
	if err != nil {
		return nil, "", errors.Join(err, os.RemoveAll(dir))
	}
	return server, dir, nil
}

// remove stops a server and deletes its folder.
func remove(server *devpg.Server, dir string) error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	err := server.Stop(ctx)
	return errors.Join(err, os.RemoveAll(dir))
}
