package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"homeroom/catalog"
	"homeroom/internal/postgres"
	"homeroom/internal/wait"
	"homeroom/tenant"
)

// All opens every tenant's database.
const All = -1

// Options limit an examination.
type Options struct {
	// Open is how many tenants' databases are opened: none, [All], or a number; then those that follow the last
	// examination's, so that repeated examinations open every one.
	Open int
	// Only limits the examination to these tenants: ids, slugs or databases. All of their databases are opened, unless
	// Open is 0.
	Only []string
	// NewTenantKey says that the tenant key was changed on purpose. [Doctor.Fix] then records it first, and gives new
	// passwords to the roles whose password it does not match. It cannot be combined with Open 0, or with Only.
	NewTenantKey bool
}

// Examine checks everything and changes nothing. It checks each problem a second time, and reports those that still
// exist.
//
// It fails when the catalog cannot be read, or a tenant of Only does not exist. Any other failure to connect is a
// finding.
func (d *Doctor) Examine(ctx context.Context, options Options) (Report, error) {
	started := time.Now()
	first, err := d.examineOnce(ctx, options, nil)
	if err != nil {
		return Report{}, err
	}
	found := first
	if slices.ContainsFunc(first.findings, func(f Finding) bool { return !singlePass[f.Code] }) {
		if err := wait.For(ctx, d.cfg.Pause); err != nil {
			return Report{}, err
		}
		if found, err = d.examineOnce(ctx, options, first); err != nil {
			return Report{}, err
		}
		found.findings = intersection(first.findings, found.findings)
	}
	found.group()
	return Report{
		Findings: append([]Finding{}, found.findings...), Skipped: found.skipped, Counts: first.counts, StartedAt: first.before.At,
		Duration: time.Since(started), NotificationQueues: first.queues, options: options,
	}, nil
}

// intersection returns the findings of the second pass that the first has too.
func intersection(first, second []Finding) []Finding {
	seen := map[string]bool{}
	for _, f := range first {
		seen[f.key()] = true
	}
	return slices.DeleteFunc(second, func(f Finding) bool { return !seen[f.key()] })
}

// examination is one pass over everything.
type examination struct {
	*Doctor
	options Options
	// previous is the first pass, if this is the second.
	previous *examination
	// only are the tenants to which it is limited; nil means all.
	only map[uuid.UUID]bool

	// before and after are the catalog's rows, read before and after everything else.
	before, after catalog.Survey
	servers       map[string]tenant.Survey
	// renamed are the databases with another name than their tenant's, by server; queues is the used share of each
	// server's notification queue; warned are the servers' warnings.
	renamed map[string]map[tenant.ID]string
	queues  map[string]float64
	// key is the check value of the tenant key in the catalog; nil if it has none.
	key           []byte
	warned        map[string]bool
	jobs          []Job
	references    map[uint]catalog.Reference
	accounts      accounts
	organizations organizations
	// opened are the tenants whose databases are opened.
	opened []catalog.SurveyedTenant

	mu       sync.Mutex
	findings []Finding
	// suspect are the tenants of a finding on their server.
	suspect map[uuid.UUID]bool
	// inspections are the results of opening the databases.
	inspections map[uuid.UUID]inspection
	skipped     []string
	counts      Counts
}

// inspection is the result of opening a database, or why it was not opened.
type inspection struct {
	tenant.Inspection
	empty bool
	// hasRows reports that it is a spare with rows.
	hasRows bool
	// schemaOwner is the owner of the schema public, where that was checked.
	schemaOwner string
	err         error
}

// examineOnce reads everything, in an order in which a row is read after the thing that must precede it, and compares.
func (d *Doctor) examineOnce(ctx context.Context, options Options, previous *examination) (_ *examination, err error) {
	e := &examination{
		Doctor: d, options: options, previous: previous, servers: map[string]tenant.Survey{}, inspections: map[uuid.UUID]inspection{},
		renamed: map[string]map[tenant.ID]string{}, queues: map[string]float64{}, warned: map[string]bool{}, suspect: map[uuid.UUID]bool{},
	}
	if e.before, err = d.cfg.Catalog.Survey(ctx); err != nil {
		return nil, err
	}
	if e.key, err = d.cfg.Catalog.TenantKeyCheck(ctx); err != nil {
		return nil, err
	}
	if err := e.narrow(); err != nil {
		return nil, err
	}
	if err := e.read(ctx); err != nil {
		return nil, err
	}
	if e.after, err = d.cfg.Catalog.Survey(ctx); err != nil {
		return nil, err
	}
	e.count()
	if e.before.Migrating || e.after.Migrating {
		e.skipped = append(e.skipped, "Schemas and their versions were not compared: a fleet run is active.")
	}
	if err := e.compare(ctx); err != nil {
		return nil, err
	}
	e.dropDuplicates()
	e.findings = slices.DeleteFunc(e.findings, func(f Finding) bool { return !e.isSelected(f) })
	sortFindings(e.findings)
	e.findings = slices.CompactFunc(e.findings, func(a, b Finding) bool { return a.key() == b.key() })
	return e, nil
}

// compare compares what was read, and adds the findings.
func (e *examination) compare(ctx context.Context) error {
	e.compareRows()
	e.compareUndelivered()
	e.compareCatalog()
	e.compareJobs()
	if err := e.compareFiles(ctx); err != nil {
		return err
	}
	e.compareServers()
	e.compareInspections()
	e.compareFunctions()
	unknownAccounts, err := e.compareIdentities(ctx)
	if err != nil {
		return err
	}
	e.compareBlocked()
	if err := e.compareLostSchools(ctx, unknownAccounts); err != nil {
		return err
	}
	return e.compareOrganizations(ctx)
}

// narrow finds the selected tenants.
func (e *examination) narrow() error {
	if len(e.options.Only) == 0 {
		return nil
	}
	e.only = map[uuid.UUID]bool{}
	for _, name := range e.options.Only {
		n := len(e.only)
		for id, t := range e.before.Tenants {
			if name == id.String() || name == t.Database || name == t.Slug {
				e.only[id] = true
			}
		}
		if len(e.only) == n {
			return fmt.Errorf("examine tenant %q: %w", name, catalog.ErrNotFound)
		}
	}
	return nil
}

// isSelected reports whether a finding is about the selected tenants.
func (e *examination) isSelected(f Finding) bool {
	return e.only == nil || f.Code == ServerUnreachable || f.Code == ServerIsAnother || f.Code == IdentitiesUnreachable || f.TenantID != nil && e.only[*f.TenantID]
}

// read reads what is not in the catalog: the servers, then the databases on them, and concurrently the identities and
// jobs.
func (e *examination) read(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		if err := e.listIdentities(ctx); err != nil {
			return err
		}
		return e.listOrganizations(ctx)
	})
	group.Go(func() error {
		if e.cfg.Jobs == nil || e.only != nil {
			return nil
		}
		var err error
		e.jobs, err = e.cfg.Jobs(ctx)
		return err
	})
	group.Go(func() error {
		if err := e.surveyServers(ctx); err != nil {
			return err
		}
		return e.inspect(ctx)
	})
	return group.Wait()
}

// surveyServers surveys every server from outside. One that does not answer is a finding.
func (e *examination) surveyServers(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for name, server := range e.cfg.Servers {
		group.Go(func() error {
			survey, err := server.Survey(ctx)
			var renamed map[tenant.ID]string
			if err == nil && e.hasMissingDatabase(name, survey) {
				renamed, err = server.Renamed(ctx)
			}
			var queue float64
			if err == nil {
				queue, err = server.NotificationQueue(ctx)
			}
			if err != nil {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				e.addUnsurveyed(ctx, name, err)
				return nil
			}
			e.mu.Lock()
			e.servers[name], e.renamed[name], e.queues[name] = survey, renamed, queue
			e.mu.Unlock()
			e.checkServer(ctx, name, server)
			return nil
		})
	}
	return group.Wait()
}

// hasMissingDatabase reports whether a tenant of a server has no database.
func (e *examination) hasMissingDatabase(server string, survey tenant.Survey) bool {
	for _, t := range e.before.Tenants {
		if _, exists := survey.Databases[t.Database]; t.Server == server && !exists {
			return true
		}
	}
	return false
}

// count counts what was checked.
func (e *examination) count() {
	for id, t := range e.before.Tenants {
		if t.State != catalog.Deleted && (e.only == nil || e.only[id]) {
			e.counts.Tenants++
		}
	}
	for _, s := range e.before.Signups {
		switch s.Status {
		case catalog.Pending, catalog.AwaitingVerification, catalog.AwaitingApproval, catalog.Provisioning:
			e.counts.Unfinished++
		}
	}
	e.counts.Servers, e.counts.Jobs, e.counts.Opened = len(e.servers), len(e.jobs), len(e.opened)
	e.counts.Identities, e.counts.Organizations = e.accounts.looked, len(e.organizations.byID)
}

// stableTenant returns a tenant whose row was the same before and after, so that no process was working on it.
func (e *examination) stableTenant(id uuid.UUID) (catalog.SurveyedTenant, bool) {
	before, was := e.before.Tenants[id]
	after, is := e.after.Tenants[id]
	return after, was && is && before.State == after.State && before.SchemaVersion == after.SchemaVersion &&
		before.PasswordRotation == after.PasswordRotation && before.Server == after.Server
}

// known reports whether a tenant has a row, or had one a moment ago.
func (e *examination) known(id uuid.UUID) bool {
	_, before := e.before.Tenants[id]
	_, after := e.after.Tenants[id]
	return before || after
}

// reason returns an error in one line, without what the finding says anyway.
func reason(err error) string {
	text := strings.Join(strings.Fields(err.Error()), " ")
	if postgres.Unreachable(err) && len(text) > 200 {
		text = text[:200] + "…"
	}
	return text
}
