// Package fleet migrates all tenants: those that are behind, with bounded concurrency, one run at a time.
//
// The catalog knows every tenant's version, so the ones that are up to date cost nothing. The new template is built first,
// so a migration that cannot run at all never reaches a tenant. A tenant that fails is quarantined with its cause, and the
// rest go on. The run is a row, with an outcome for every tenant: a process that dies is followed by the next one, which
// goes on with what has no outcome yet.
package fleet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"homeroom/catalog"
	"homeroom/internal/postgres"
	"homeroom/tenant"
)

// Config is what a Fleet needs.
type Config struct {
	Catalog *catalog.Store
	Servers tenant.Servers
	// Concurrency is how many tenants are migrated at the same time. Each server's own bound holds besides.
	// Defaults to 8.
	Concurrency int
	// Logger is where failures of tenants go. Defaults to slog.Default().
	Logger *slog.Logger
}

// Fleet is all tenants of the servers this process can reach.
type Fleet struct{ cfg Config }

// New makes a Fleet.
func New(cfg Config) (*Fleet, error) {
	if cfg.Catalog == nil || len(cfg.Servers) == 0 {
		return nil, errors.New("a fleet needs a catalog and at least one server")
	}
	if cfg.Concurrency < 0 {
		return nil, fmt.Errorf("a concurrency of %d makes no sense", cfg.Concurrency)
	}
	if cfg.Concurrency == 0 {
		cfg.Concurrency = 8
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	return &Fleet{cfg}, nil
}

// Version is the schema version that a run brings the tenants to.
func (f *Fleet) Version() uint {
	return f.cfg.Servers.Migrations().Latest()
}

// Plan lists the tenants that a run would migrate, in its order. only narrows to these ids, slugs or databases.
func (f *Fleet) Plan(ctx context.Context, only []string) ([]catalog.Tenant, error) {
	return f.behind(ctx, Options{Only: only}, f.cfg.Servers.Names(), uuid.Nil)
}

func (f *Fleet) behind(ctx context.Context, options Options, servers []string, notIn uuid.UUID) ([]catalog.Tenant, error) {
	return f.cfg.Catalog.Behind(ctx, catalog.BehindFilter{
		Lineage: f.cfg.Servers.Migrations().Lineage(), Version: f.Version(), Servers: servers, Only: options.Only,
		SkipQuarantined: options.SkipQuarantined, NotIn: notIn,
	})
}

// Options say what a run does.
type Options struct {
	// By says who wants the run, for the record.
	By string
	// Only narrows the run to tenants with one of these ids, slugs or databases; empty is all.
	Only []string
	// SkipQuarantined leaves out the tenants that wait for a person. A run that a person starts is their way back.
	SkipQuarantined bool
	// Progress is told after each tenant, one call at a time. It may be nil.
	Progress func(Progress)
}

// Progress is how far a run is.
type Progress struct {
	Done, Failed, Total int
	Elapsed             time.Duration
}

// Report is how a run ended.
type Report struct {
	// Run is the run's row; its ID is zero when nothing was behind, and so nothing was run.
	Run      catalog.Run
	Outcomes []catalog.Outcome
	// Joined tells that another process did the work, and this one waited for it.
	Joined bool
}

// followEvery is how often a process that joined a run looks how far it is.
const followEvery = 250 * time.Millisecond

// Run migrates every tenant that is behind. However many processes call it, one does the work: the others wait for its
// end and report the same. When the working one dies, one of the waiting goes on.
//
// Failing tenants are in the report, not in the error: an error means that the run could not do its work.
func (f *Fleet) Run(ctx context.Context, options Options) (Report, error) {
	asked, err := f.cfg.Catalog.Now(ctx)
	if err != nil {
		return Report{}, err
	}
	for waited := false; ; waited = true {
		var report Report
		ran, err := f.cfg.Catalog.Exclusive(ctx, "migration run", func(ctx context.Context) (err error) {
			if waited && len(options.Only) == 0 {
				report, err = f.joined(ctx, asked)
				if !errors.Is(err, catalog.ErrNotFound) {
					return err
				}
			}
			report, err = f.run(ctx, options)
			return err
		})
		if err != nil || ran {
			return report, err
		}
		f.tellOfOther(ctx, options)
		select {
		case <-ctx.Done():
			return Report{}, ctx.Err()
		case <-time.After(followEvery):
		}
	}
}

// tellOfOther tells the progress of another process's run. It is for show: an error means that there is none to tell.
func (f *Fleet) tellOfOther(ctx context.Context, options Options) {
	if options.Progress == nil || len(options.Only) > 0 {
		return
	}
	run, err := f.cfg.Catalog.ActiveRun(ctx)
	if err == nil {
		options.Progress(Progress{Done: run.Done, Failed: run.Failed, Total: run.Total, Elapsed: time.Since(run.StartedAt)})
	}
}

// joined reports the run of another process that ended since we were asked for one. Doing it once more would only try the
// failed ones again.
func (f *Fleet) joined(ctx context.Context, asked time.Time) (Report, error) {
	run, err := f.cfg.Catalog.DoneSince(ctx, asked, f.Version())
	if err != nil {
		return Report{}, err
	}
	outcomes, err := f.cfg.Catalog.Outcomes(ctx, run.ID)
	return Report{Run: run, Outcomes: outcomes, Joined: true}, err
}

// run does the work, alone.
func (f *Fleet) run(ctx context.Context, options Options) (Report, error) {
	servers, unreachable, err := f.prepare(ctx)
	if err != nil {
		return Report{}, err
	}
	id, err := f.begin(ctx, options, servers)
	if err != nil || id == uuid.Nil {
		return Report{}, errors.Join(err, unreachable)
	}
	err = errors.Join(f.migrateAll(ctx, id, options, servers), unreachable)
	problem := ""
	if err != nil {
		problem = err.Error()
	}
	// An interrupted run stays open, and the next process goes on with it; what it has come to is reported all the same.
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if ctx.Err() == nil {
		err = errors.Join(err, f.cfg.Catalog.FinishRun(closing, id, problem))
	}
	run, look := f.cfg.Catalog.RunByID(closing, id)
	if look != nil {
		return Report{}, errors.Join(err, look)
	}
	outcomes, look := f.cfg.Catalog.Outcomes(closing, id)
	return Report{Run: run, Outcomes: outcomes}, errors.Join(err, look)
}

// prepare builds the new template on every server. A server that cannot be reached keeps its tenants out of the run, and
// nobody else's; unreachable tells of it.
func (f *Fleet) prepare(ctx context.Context) (servers []string, unreachable, err error) {
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	for name, server := range f.cfg.Servers {
		group.Go(func() error {
			err := server.Prepare(ctx)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				servers = append(servers, name)
			case postgres.Unreachable(err) && ctx.Err() == nil:
				unreachable = errors.Join(unreachable, err)
			default:
				return err
			}
			return nil
		})
	}
	err = group.Wait()
	return servers, unreachable, err
}

// begin opens a run, or goes on with the one that a dead process left. It returns the zero UUID when nothing is behind.
func (f *Fleet) begin(ctx context.Context, options Options, servers []string) (uuid.UUID, error) {
	left, err := f.cfg.Catalog.ActiveRun(ctx)
	if err == nil && left.ToVersion == f.Version() && len(options.Only)+len(left.OnlyTenants) == 0 {
		f.cfg.Logger.Info("going on with a migration run whose process has ended", "run", left.ID, "done", left.Done, "of", left.Total)
		return left.ID, nil
	}
	if err == nil {
		err = f.cfg.Catalog.FinishRun(ctx, left.ID, "its process ended before it did")
	}
	if err != nil && !errors.Is(err, catalog.ErrNotFound) {
		return uuid.Nil, err
	}
	behind, err := f.behind(ctx, options, servers, uuid.Nil)
	if err != nil || len(behind) == 0 {
		return uuid.Nil, err
	}
	id := uuid.Must(uuid.NewV7())
	return id, f.cfg.Catalog.StartRun(ctx, id, f.Version(), len(behind), options.By, options.Only)
}
