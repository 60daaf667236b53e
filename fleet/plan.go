package fleet

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"homeroom/catalog"
)

// Options say what a run does.
type Options struct {
	// Actor says who wants the run, for the record.
	By string
	// Only narrows the run to tenants with one of these ids, slugs or databases; empty is all.
	Only []string
	// To is the version to reach; nil is the newest. Tenants above it are taken back to it only where Only names them. Those
	// that a run takes to an older version than the newest by name stay there until another names them.
	To *uint
	// SkipQuarantined leaves out the tenants that wait for a person. A run that a person starts includes them.
	SkipQuarantined bool
	// Canaries is how many tenants make the first wave; 0 migrates all in one wave. nil takes the tenants that are marked as
	// canaries, or one where none is.
	Canaries *int
	// MaxFailures is how many tenants may fail before the run stops. nil is a tenth of them, and at least 3.
	MaxFailures *int
	// Concurrency is how many tenants of a server are migrated at the same time. Defaults to the Config's.
	Concurrency int
	// Automatic marks a run that nobody asked for: it leaves a paused run paused, and is not begun after one by the same files
	// that was stopped or aborted.
	Automatic bool
	// Progress is told after each tenant, one call at a time. It may be nil.
	Progress func(Progress)
}

// Plan is what a run would do.
type Plan struct {
	// To is the version that the tenants get; Down tells that it is older than theirs.
	To   uint
	Down bool
	// Tenants are in the order of the run.
	Tenants []catalog.Tenant
	// Files are the names of the files that a tenant runs, in order, by the version that it has now.
	Files map[uint][]string
	// Waves are the sizes of the waves. The first are the canaries, unless there is only one wave.
	Waves []int
	// Canaries, MaxFailures and Concurrency are what Options said, or their defaults.
	Canaries, MaxFailures, Concurrency int
	// Status is how many tenants are at the version now, as the catalog knows.
	Status VersionStatus

	// waiting is a canary that is behind and quarantined, where Options leave such tenants out.
	quarantinedCanary *catalog.Tenant
}

// ErrMixed says that some of the chosen tenants are above a version and others below.
var ErrMixed = errors.New("some of these tenants are above that version and some below: take them in two runs")

// Plan tells what a run would do. It changes nothing.
func (f *Fleet) Plan(ctx context.Context, options Options) (Plan, error) {
	plan, err := f.plan(ctx, options, f.cfg.Servers.Names())
	if err == nil {
		plan.Status, err = f.versionStatus(ctx, options)
	}
	return plan, err
}

func (f *Fleet) plan(ctx context.Context, options Options, servers []string) (Plan, error) {
	schema := f.cfg.Servers.Migrations()
	plan := Plan{To: schema.Latest(), Concurrency: f.cfg.Concurrency}
	if options.To != nil {
		plan.To = *options.To
	}
	if options.Concurrency > 0 {
		plan.Concurrency = options.Concurrency
	}
	filter := catalog.BehindFilter{
		Lineage: schema.Lineage(), Version: plan.To, Servers: servers, Only: options.Only,
	}
	var err error
	if plan.Tenants, err = f.cfg.Catalog.Behind(ctx, filter); err != nil {
		return Plan{}, err
	}
	if options.To != nil && len(options.Only) > 0 {
		filter.Down = true
		above, err := f.cfg.Catalog.Behind(ctx, filter)
		if err != nil {
			return Plan{}, err
		}
		if len(above) > 0 && len(plan.Tenants) > 0 {
			return Plan{}, ErrMixed
		}
		if len(above) > 0 {
			plan.Tenants, plan.Down = above, true
		}
	}
	if options.SkipQuarantined {
		plan.skipQuarantined()
	}
	plan.limit(options)
	return plan, f.listFiles(&plan)
}

// skipQuarantined leaves out the tenants that wait for a person.
func (p *Plan) skipQuarantined() {
	p.Tenants = slices.DeleteFunc(p.Tenants, func(t catalog.Tenant) bool {
		quarantined := t.State == catalog.Quarantined
		if quarantined && t.Canary && p.quarantinedCanary == nil {
			p.quarantinedCanary = &t
		}
		return quarantined
	})
}

// limit sets the waves and the error budget.
func (p *Plan) limit(options Options) {
	total := len(p.Tenants)
	p.Canaries = min(1, total)
	marked := 0
	for _, t := range p.Tenants {
		if t.Canary {
			marked++
		}
	}
	if marked > 0 {
		p.Canaries = marked
	}
	if options.Canaries != nil {
		p.Canaries = min(*options.Canaries, total)
	}
	p.MaxFailures = max(3, total/10)
	if options.MaxFailures != nil {
		p.MaxFailures = *options.MaxFailures
	}
	p.Waves = waves(total, p.Canaries)
}

// listFiles finds the files for each version that a tenant has. It fails where a way to the version is missing.
func (f *Fleet) listFiles(plan *Plan) error {
	schema := f.cfg.Servers.Migrations()
	plan.Files = map[uint][]string{}
	if _, err := schema.Between(plan.To, plan.To); err != nil {
		return fmt.Errorf("plan a run to version %d: %w", plan.To, err)
	}
	for _, t := range plan.Tenants {
		if _, done := plan.Files[t.SchemaVersion]; done {
			continue
		}
		files, err := schema.Between(t.SchemaVersion, plan.To)
		if err != nil && plan.Down {
			return fmt.Errorf("plan a run to version %d: %w", plan.To, err)
		}
		plan.Files[t.SchemaVersion] = files // a version that is not ours fails its tenant alone
	}
	return nil
}

// waveGrowth is how many times larger than the one before each wave is.
const waveGrowth = 10

// waves are the sizes of the waves in which so many tenants are migrated.
func waves(total, canaries int) []int {
	if canaries <= 0 {
		if total == 0 {
			return nil
		}
		return []int{total}
	}
	var sizes []int
	for size := canaries; total > 0; size *= waveGrowth {
		size = min(size, total)
		sizes = append(sizes, size)
		total -= size
	}
	return sizes
}

// waveOf is the number, from 0, of the wave in which a run is after so many outcomes, and how many tenants are left in it.
// Tenants that came after the run had begun make the last wave longer.
func waveOf(total, canaries, handled int) (number, left int) {
	sizes := waves(total, canaries)
	for number, size := range sizes {
		if handled < size {
			if number == len(sizes)-1 {
				return number, 0
			}
			return number, size - handled
		}
		handled -= size
	}
	return max(len(sizes)-1, 0), 0
}

// newRun is the row of a run that does what the plan says.
func (f *Fleet) newRun(plan Plan, options Options) catalog.NewRun {
	schema := f.cfg.Servers.Migrations()
	direction := directionUp
	if plan.Down {
		direction = directionDown
	}
	return catalog.NewRun{
		ID: uuid.Must(uuid.NewV7()), Lineage: schema.Lineage(), SchemaHash: schema.Hash(), ToVersion: plan.To, Direction: direction,
		Total: len(plan.Tenants), StartedBy: options.By, OnlyTenants: options.Only, Canaries: plan.Canaries,
		MaxFailures: plan.MaxFailures, Concurrency: plan.Concurrency, SkipQuarantined: options.SkipQuarantined,
		Hold: len(options.Only) > 0 && plan.To < schema.Latest(),
	}
}
