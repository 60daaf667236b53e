package fleet

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"homeroom/catalog"
)

// Options are the options of a run.
type Options struct {
	// By names the person or process that starts the run, for the audit log.
	By string
	// Only narrows the run to tenants with one of these ids, slugs or databases; empty means all.
	Only []string
	// To is the version to reach; nil means the newest. Tenants above it are migrated down only where Only names
	// them. A tenant that was migrated by name to another version than the newest is held there, until a run names it
	// again.
	To *uint
	// SkipQuarantined leaves out quarantined tenants. A run that a person starts includes them.
	SkipQuarantined bool
	// Canaries is how many tenants are in the first wave; 0 migrates all in one wave. Nil means the tenants that are
	// marked as canaries, or one if none is.
	Canaries *int
	// MaxFailures is how many tenants may fail before the run stops. Nil means a tenth of them, and at least 3.
	MaxFailures *int
	// Concurrency is how many tenants of a server are migrated at the same time. Defaults to the Config's.
	Concurrency int
	// Automatic marks a run that no person has started. It leaves a paused run paused, and does not start after a run
	// with the same files that was stopped or aborted.
	Automatic bool
	// Progress is called after each tenant, one call at a time. It may be nil.
	Progress func(Progress)
}

// Plan is what a run would do.
type Plan struct {
	// To is the version that the tenants get; Down reports whether it is older than theirs.
	To   uint
	Down bool
	// Tenants are in the order of the run.
	Tenants []catalog.Tenant
	// Files are the names of the files that a tenant runs, in order, by its current version.
	Files map[uint][]string
	// Waves are the sizes of the waves. The first are the canaries, unless there is only one wave.
	Waves []int
	// Canaries, MaxFailures and Concurrency are those of the Options, or their defaults.
	Canaries, MaxFailures, Concurrency int
	// Status is how many tenants are at which version now, by the catalog.
	Status VersionStatus

	// waiting is a canary that is behind and quarantined, where the Options leave out quarantined tenants.
	quarantinedCanary *catalog.Tenant
}

// ErrMixed says that some of the chosen tenants are above the version and others below it.
var ErrMixed = errors.New("some of these tenants are above that version and some below: migrate them in two runs")

// Plan returns what a run would do. It changes nothing.
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

// skipQuarantined leaves out quarantined tenants.
func (p *Plan) skipQuarantined() {
	p.Tenants = slices.DeleteFunc(p.Tenants, func(t catalog.Tenant) bool {
		quarantined := t.State == catalog.Quarantined
		if quarantined && t.Canary && p.quarantinedCanary == nil {
			p.quarantinedCanary = &t
		}
		return quarantined
	})
}

// limit sets the waves and the limit of failures.
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

// listFiles finds the files for each version that a tenant has. It fails where a file is missing.
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
		plan.Files[t.SchemaVersion] = files // for an unknown version only its tenant fails
	}
	return nil
}

// waveGrowth is the factor between the sizes of two waves.
const waveGrowth = 10

// waves returns the sizes of the waves for this number of tenants.
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

// waveOf returns the number, from 0, of the wave of a run with this number of outcomes, and how many tenants are left
// in it. Tenants that were added after the run had begun make the last wave larger.
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

// newRun returns the row of a run that does what the plan says.
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
