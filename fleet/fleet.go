// Package fleet migrates all tenants: those whose version is older, in waves that grow, one run at a time.
//
// The catalog has every tenant's version, so tenants that are up to date cost nothing. The new template is built
// first, so a migration that cannot run at all never reaches a tenant. Then come the canaries, then waves, each ten
// times as large as the one before. A tenant that fails is quarantined with its cause, and the run continues, until a
// canary fails or more tenants fail than may: then the run stops, and the other tenants are as they were.
//
// A run is a row, with an outcome for every tenant, and any process may work on it. An operator pauses, resumes or
// aborts it by changing the row. When its process dies, the next process continues with the tenants without an
// outcome.
package fleet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"homeroom/catalog"
	"homeroom/internal/postgres"
	"homeroom/tenant"
)

// Config configures a Fleet.
type Config struct {
	Catalog Store
	Servers Servers
	// Concurrency is how many tenants of one server are migrated at the same time, unless a run sets another number.
	// The server's own limit applies as well. Defaults to 8.
	Concurrency int
	// RetryFor is how long a tenant is retried whose migration waits for a lock, or for a server that does not
	// answer. Defaults to 15 s.
	RetryFor time.Duration
	// Logger logs failures of tenants. Defaults to slog.Default().
	Logger *slog.Logger
}

// Fleet is all tenants of the servers that this process can reach.
type Fleet struct {
	cfg Config
	// referenced are the servers whose template was recorded as a reference.
	hasReference sync.Map
	// prioritized holds the ids of the tenants that are being moved to the front of a run.
	prioritized sync.Map
	// jitter is a random part of a wait, so that tenants that wait for the same cause do not retry at the same time.
	jitter func(wait time.Duration) time.Duration
}

// New makes a Fleet.
func New(cfg Config) (*Fleet, error) {
	if cfg.Catalog == nil || cfg.Servers == nil || len(cfg.Servers.Names()) == 0 {
		return nil, errors.New("a fleet needs a catalog and at least one server")
	}
	if cfg.Concurrency < 0 {
		return nil, fmt.Errorf("a concurrency of %d is negative", cfg.Concurrency)
	}
	if cfg.Concurrency == 0 {
		cfg.Concurrency = 8
	}
	if cfg.RetryFor == 0 {
		cfg.RetryFor = 15 * time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	return &Fleet{cfg: cfg, jitter: rand.N[time.Duration]}, nil
}

// Version returns the newest schema version, to which a run migrates unless its options name another.
func (f *Fleet) Version() uint {
	return f.cfg.Servers.Migrations().Latest()
}

// prepare builds the new template on every server. A server that cannot be reached only excludes its own tenants from
// the run; unreachable is its error.
func (f *Fleet) prepare(ctx context.Context) (servers []string, unreachable, err error) {
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	for _, name := range f.cfg.Servers.Names() {
		group.Go(func() error {
			server, err := f.cfg.Servers.Get(name)
			if err != nil {
				return err
			}
			schema, err := server.Reference(ctx) // it builds the template
			if postgres.Unreachable(err) && ctx.Err() == nil {
				mu.Lock()
				defer mu.Unlock()
				unreachable = errors.Join(unreachable, err)
				return nil
			}
			if err == nil {
				err = f.recordReference(ctx, server, name, schema)
			}
			mu.Lock()
			defer mu.Unlock()
			servers = append(servers, name)
			return err
		})
	}
	err = group.Wait()
	return servers, unreachable, err
}

// recordReference records the newest schema, so that drift is found also when the template no longer exists. Where
// another schema is recorded for this version, it fails and names the differences.
func (f *Fleet) recordReference(ctx context.Context, server Server, name string, schema tenant.Schema) error {
	if _, done := f.hasReference.Load(name); done {
		return nil
	}
	postgres, grants, err := server.Basis(ctx)
	if err != nil {
		return err
	}
	migrations := f.cfg.Servers.Migrations()
	err = f.cfg.Catalog.SetReference(ctx, catalog.Reference{
		Lineage: migrations.Lineage(), Version: migrations.Latest(), Fingerprint: schema.Fingerprint(), Lines: schema,
		Postgres: postgres, Grants: grants,
	})
	var differs *catalog.ReferenceError
	if errors.As(err, &differs) {
		for i, difference := range tenant.Schema(differs.Known.Lines).Diff(schema) {
			if i == mostDifferences {
				break
			}
			err = fmt.Errorf("%w; %s", err, difference)
		}
	}
	if err == nil {
		f.hasReference.Store(name, true)
	}
	return err
}

// mostDifferences is the largest number of differences in an error.
const mostDifferences = 5
