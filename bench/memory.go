package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"homeroom/internal/secret"
	"homeroom/migrations"
	"homeroom/tenant"
)

// openPools is how many tenants' pools a service keeps open, of two connections each: the defaults of tenant.PoolsConfig.
const openPools = 100

// poolsJob is the input of the process that uses the tenants, and poolsUse its output, the resident memory in bytes:
// after it has used one tenant, as many as may have an open pool, all of them, and all of them again.
type poolsJob struct {
	URL        string
	Migrations string
	Tenants    []tenant.ID
}

type poolsUse struct{ One, Full, All, Again int64 }

// memory measures the memory of a process with many tenants: a process of its own with only the server and
// its pools, which uses all tenants in turn, each by both of its connections and as its own role.
func memory(ctx context.Context, b *testbed) (results, error) {
	if _, known := resident(); !known {
		b.logf("MEMORY is left out: this system does not tell a process's resident memory in /proc/self/status")
		return results{}, nil
	}
	p, err := openFixtureTenants(ctx, b)
	if err != nil {
		return results{}, err
	}
	b.logf("MEMORY: using %d tenants in turn", b.tenants)
	process, err := startChild(ctx, "pools")
	if err != nil {
		return results{}, err
	}
	var use poolsUse
	var most openConnections
	stop := context.AfterFunc(ctx, func() { _ = process.stdin.Close() })
	group, ctx := errgroup.WithContext(ctx)
	counting, done := context.WithCancel(ctx)
	group.Go(func() error { return most.count(counting, b) })
	group.Go(func() error {
		defer done()
		return p.use(ctx, process, &use)
	})
	err = group.Wait()
	stop()
	if err := errors.Join(err, process.close()); err != nil {
		return results{}, fmt.Errorf("use tenants: %w", err)
	}
	return results{verdicts: judgeMemory(b.tenants, use, most)}, nil
}

func judgeMemory(tenants int, use poolsUse, most openConnections) []verdict {
	megabytes := func(from, to int64) float64 { return float64(max(to-from, 0)) / (1 << 20) }
	full := min(openPools, tenants)
	return []verdict{
		atMost(fmt.Sprintf("memory: %d tenants' pools open, over one tenant's", full), megabytes(use.One, use.Full), "MB", 25),
		atMost(fmt.Sprintf("memory: all %d tenants used in turn, over that", tenants), megabytes(use.Full, use.All), "MB", 15),
		atMost("  all of them once more, over that", megabytes(use.All, use.Again), "MB", 3),
		atMost("  resident in the end", megabytes(0, use.Again), "MB", 64),
		atMost("  tenants with a connection, at most", float64(most.tenants), "", 0),
		atMost("  connections to tenants' databases, at most", float64(most.connections), "", 0),
	}
}

// use makes the other process use the tenants.
func (p *fixtureTenants) use(ctx context.Context, process *child, use *poolsUse) error {
	job := poolsJob{URL: p.postgres.URL("postgres"), Migrations: p.schema}
	rows, err := p.ours.catalog.Pool().Query(ctx, "select id from tenants order by id")
	if err != nil {
		return fmt.Errorf("list tenants: %w", err)
	}
	if job.Tenants, err = pgx.CollectRows(rows, pgx.RowTo[tenant.ID]); err != nil {
		return fmt.Errorf("list tenants: %w", err)
	}
	if err := json.NewEncoder(process.stdin).Encode(job); err != nil {
		return err
	}
	line, err := process.stdout.ReadBytes('\n')
	if err != nil {
		return errors.Join(ctx.Err(), err)
	}
	return json.Unmarshal(line, use)
}

// openConnections are the largest numbers that were seen.
type openConnections struct{ tenants, connections int }

// count counts until ctx ends.
func (m *openConnections) count(ctx context.Context, b *testbed) error {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		var now openConnections
		err := b.admin.QueryRow(ctx, `
			select count(distinct datname), count(*)
			from pg_stat_activity
			where datname ~ '^t_' and backend_type = 'client backend'`).Scan(&now.tenants, &now.connections)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("count connections: %w", err)
		}
		m.tenants, m.connections = max(m.tenants, now.tenants), max(m.connections, now.connections)
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// servePools runs the other process.
func servePools(stdin io.Reader, stdout io.Writer) error {
	var job poolsJob
	if err := json.NewDecoder(stdin).Decode(&job); err != nil {
		return fmt.Errorf("read job: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, stdin)
		cancel()
	}()
	set, err := migrations.Load(os.DirFS(job.Migrations))
	if err != nil {
		return err
	}
	server, err := tenant.Open(tenant.Config{URL: secret.String(job.URL), Key: tenantKey, Migrations: set})
	if err != nil {
		return err
	}
	defer server.Close()
	pools, err := tenant.NewPools(tenant.PoolsConfig{})
	if err != nil {
		return err
	}
	defer pools.Close()
	var use poolsUse
	for _, stage := range []struct {
		tenants []tenant.ID
		memory  *int64
	}{
		{job.Tenants[:1], &use.One},
		{job.Tenants[:min(openPools, len(job.Tenants))], &use.Full},
		{job.Tenants, &use.All},
		{job.Tenants, &use.Again},
	} {
		if err := selectAsEach(ctx, server, pools, stage.tenants); err != nil {
			return err
		}
		*stage.memory = settled()
	}
	return json.NewEncoder(stdout).Encode(use)
}

// selectAsEach runs a query as every tenant's role, on both connections of its pool at the same time.
func selectAsEach(ctx context.Context, server *tenant.Server, pools *tenant.Pools, tenants []tenant.ID) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(mostClients)
	read := func(conn *pgx.Conn) error {
		var us, database string
		var version int
		err := conn.QueryRow(ctx, "select current_user, current_database(), version from schema_migrations").Scan(&us, &database, &version)
		if err == nil && us != database {
			err = fmt.Errorf("the role in database %s is %s", database, us)
		}
		return err
	}
	for _, id := range tenants {
		group.Go(func() error {
			return pools.Do(ctx, server, id, 0, func(conn *pgx.Conn) error {
				return errors.Join(read(conn), pools.Do(ctx, server, id, 0, read))
			})
		})
	}
	return group.Wait()
}

// settled returns the resident memory after a garbage collection, when evicted pools have closed: the smallest value
// within a second.
func settled() int64 {
	least := int64(math.MaxInt64)
	for range 10 {
		debug.FreeOSMemory()
		bytes, _ := resident()
		least = min(least, bytes)
		time.Sleep(100 * time.Millisecond)
	}
	return least
}

// resident is this process's resident memory in bytes; Linux only.
func resident() (bytes int64, known bool) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(status)) {
		if rest, found := strings.CutPrefix(line, "VmRSS:"); found {
			kilobytes, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kilobytes << 10, err == nil
		}
	}
	return 0, false
}
