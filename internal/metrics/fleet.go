package metrics

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"homeroom/catalog"
)

var (
	tenantsDesc = prometheus.NewDesc("homeroom_tenants", "Tenants by state.", []string{"state"}, nil)
	runDesc     = prometheus.NewDesc("homeroom_migration_run_tenants",
		"Tenants of the open run over the fleet: done, failed, or left. Absent when no run is open.", []string{"outcome", "direction", "state"}, nil)
)

// states are told even where no tenant is in them.
var states = []catalog.State{
	catalog.Building, catalog.Spare, catalog.Reserved, catalog.Ready, catalog.Quarantined, catalog.Suspended, catalog.Deleting,
}

// fleet counts what the catalog has, in two queries at most every so often.
type fleet struct {
	cfg Config

	mu     sync.Mutex
	at     time.Time
	counts map[catalog.State]int
	run    *catalog.Run
	err    error
}

func newFleet(cfg Config) *fleet { return &fleet{cfg: cfg} }

// Describe implements [prometheus.Collector].
func (f *fleet) Describe(descs chan<- *prometheus.Desc) {
	descs <- tenantsDesc
	descs <- runDesc
}

// Collect implements [prometheus.Collector].
func (f *fleet) Collect(metrics chan<- prometheus.Metric) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.at) >= f.cfg.Every {
		f.count()
	}
	if f.err != nil {
		metrics <- prometheus.NewInvalidMetric(tenantsDesc, f.err)
		return
	}
	for _, state := range states {
		metrics <- prometheus.MustNewConstMetric(tenantsDesc, prometheus.GaugeValue, float64(f.counts[state]), string(state))
	}
	if f.run == nil {
		return
	}
	for outcome, n := range map[string]int{"done": f.run.Done, "failed": f.run.Failed, "left": f.run.Total - f.run.Done - f.run.Failed} {
		metrics <- prometheus.MustNewConstMetric(runDesc, prometheus.GaugeValue, float64(n), outcome, f.run.Direction, string(f.run.State))
	}
}

// count asks the catalog. A catalog that does not answer is not asked again at once either.
func (f *fleet) count() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	f.at, f.run = time.Now(), nil
	if f.counts, f.err = f.cfg.Catalog.CountTenants(ctx); f.err != nil {
		return
	}
	run, err := f.cfg.Catalog.OpenRun(ctx)
	switch {
	case err == nil:
		f.run = &run
	case !errors.Is(err, catalog.ErrNotFound):
		f.err = err
	}
}
