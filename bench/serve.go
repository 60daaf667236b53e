package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgxpool"
)

// binaryEnv is the program that the child "service" runs.
const binaryEnv = "HOMEROOM_BENCH_BINARY"

// running is `homeroom serve` in a process of its own, with all background work: the job runner, the
// reconcilers, the relay and the spare pool refiller.
type running struct {
	*child
	url string
	// catalog is the catalog of the service, on other connections.
	catalog *pgxpool.Pool
}

// startService builds the program and starts it, on a catalog of its own, with the tenants' migrations in a folder.
func startService(ctx context.Context, b *testbed, catalog, folder string, spares int) (_ *running, err error) {
	binary := filepath.Join(b.folder, "homeroom")
	b.logf("building homeroom")
	if out, err := exec.CommandContext(ctx, "go", "build", "-tags", "nomsgpack", "-o", binary, "homeroom/cmd/homeroom").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build homeroom: %w\n%s", err, out)
	}
	if err := b.newDatabase(ctx, catalog); err != nil {
		return nil, err
	}
	var key [32]byte         // one that could be guessed would be refused
	_, _ = rand.Read(key[:]) // never fails, see its documentation
	process, err := startChild(ctx, "service", binaryEnv+"="+binary,
		"HOMEROOM_ADDR=127.0.0.1:0",
		"HOMEROOM_CATALOG_URL="+b.postgres.URL(catalog),
		"HOMEROOM_TENANT_KEY="+base64.StdEncoding.EncodeToString(key[:]),
		"HOMEROOM_TENANT_MIGRATIONS="+folder,
		fmt.Sprintf("HOMEROOM_SPARES=%d", spares),
		// These are never reached: counting is a part of every sign-up.
		"HOMEROOM_SIGNUP_RATE=1000000/1h", "HOMEROOM_SIGNUP_BUDGET_MINUTE=1000000", "HOMEROOM_SIGNUP_BUDGET_DAY=10000000",
		"HOMEROOM_ALLOW_SUPERUSER=true",
		"AUTH0_BASE_URL="+b.auth0.url, "AUTH0_CLIENT_ID="+b.auth0.clientID, "AUTH0_CLIENT_SECRET="+b.auth0.clientSecret,
		"AUTH0_AUDIENCE="+b.auth0.audience, "AUTH0_MANAGEMENT_AUDIENCE="+b.auth0.management)
	if err != nil {
		return nil, err
	}
	r := &running{child: process}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.close())
		}
	}()
	addr, err := process.stdout.ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("start homeroom serve: %w", err)
	}
	r.url = "http://" + strings.TrimSpace(addr)
	r.catalog, err = b.pool(ctx, catalog)
	return r, err
}

func (r *running) close() error {
	if r.catalog != nil {
		r.catalog.Close()
	}
	return r.child.close()
}

// serveService runs `homeroom serve` until its standard input ends, and prints the address in one line for its
// parent. Errors of the service go to the standard error.
func serveService(stdin io.Reader, stdout io.Writer) error {
	command := exec.Command(os.Getenv(binaryEnv), "serve")
	logs, err := command.StderrPipe()
	if err != nil {
		return err
	}
	if err := command.Start(); err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(io.Discard, stdin)
		_ = command.Process.Signal(syscall.SIGTERM) // it may have ended already
	}()
	lines := bufio.NewScanner(logs)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var line struct{ Level, Msg, Addr string }
		if json.Unmarshal(lines.Bytes(), &line) != nil || line.Level == "ERROR" || line.Level == "WARN" {
			fmt.Fprintln(os.Stderr, lines.Text())
		}
		if line.Msg == "serving" {
			fmt.Fprintln(stdout, line.Addr)
		}
	}
	return command.Wait()
}
