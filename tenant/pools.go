package tenant

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/maypok86/otter/v2"

	"homeroom/internal/postgres"
)

// PoolsConfig limits the open pools and connections.
type PoolsConfig struct {
	// Tenants is how many tenants may have an open pool; the least recently used one is evicted. Defaults to 100.
	Tenants int
	// Conns is how many connections a tenant's pool may have. Defaults to 2.
	Conns int32
	// IdleConn is how long a connection stays open unused. Defaults to 30 s.
	IdleConn time.Duration
	// IdlePool is how long an unused pool stays open. Defaults to 5 min.
	IdlePool time.Duration
}

func (c PoolsConfig) withDefaults() PoolsConfig {
	if c.Tenants == 0 {
		c.Tenants = 100
	}
	if c.Conns == 0 {
		c.Conns = 2
	}
	if c.IdleConn == 0 {
		c.IdleConn = 30 * time.Second
	}
	if c.IdlePool == 0 {
		c.IdlePool = 5 * time.Minute
	}
	return c
}

// Pools connects to tenants' databases with the tenants' own roles. At most Tenants × Conns connections are open,
// besides those of evicted pools that are still in use.
type Pools struct {
	cfg   PoolsConfig
	cache *otter.Cache[poolKey, *sharedPool]
}

type poolKey struct {
	server   *Server
	id       ID
	rotation int
}

// NewPools returns an empty Pools.
func NewPools(cfg PoolsConfig) (*Pools, error) {
	cfg = cfg.withDefaults()
	cache, err := otter.New(&otter.Options[poolKey, *sharedPool]{
		MaximumSize:      cfg.Tenants,
		ExpiryCalculator: otter.ExpiryAccessing[poolKey, *sharedPool](cfg.IdlePool),
		OnDeletion:       func(e otter.DeletionEvent[poolKey, *sharedPool]) { e.Value.evict() },
	})
	if err != nil {
		return nil, fmt.Errorf("make cache of pools: %w", err)
	}
	return &Pools{cfg: cfg, cache: cache}, nil
}

// Do runs f on a connection to a tenant's database, with the tenant's role.
func (p *Pools) Do(ctx context.Context, server *Server, id ID, rotation int, f func(conn *pgx.Conn) error) error {
	key := poolKey{server, id, rotation}
	for {
		pool, err := p.cache.Get(ctx, key, otter.LoaderFunc[poolKey, *sharedPool](p.open))
		if err != nil {
			return err
		}
		if !pool.addUser() {
			continue // it was evicted since; the next Get opens a new one
		}
		defer pool.removeUser()
		conn, err := pool.Acquire(ctx)
		if err != nil {
			return fmt.Errorf("connect to database %s as its own role: %w", id.Database(), err)
		}
		defer conn.Release()
		return f(conn.Conn())
	}
}

// sharedPool is a pool that is closed once it is evicted and unused: closing it earlier would cancel the connections
// that its users are opening.
type sharedPool struct {
	*pgxpool.Pool

	mu      sync.Mutex
	users   int
	evicted bool
}

// addUser registers a user of the pool. It reports false once the pool is evicted.
func (p *sharedPool) addUser() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.evicted {
		return false
	}
	p.users++
	return true
}

func (p *sharedPool) removeUser() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.users--
	p.closeUnused()
}

func (p *sharedPool) evict() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.evicted = true
	p.closeUnused()
}

func (p *sharedPool) closeUnused() {
	if p.evicted && p.users == 0 {
		go p.Close() // it waits for the server
	}
}

// open returns the pool of a tenant. It connects when a connection is needed.
func (p *Pools) open(_ context.Context, key poolKey) (*sharedPool, error) {
	cfg, err := pgxpool.ParseConfig(key.server.URL(key.id, key.rotation).Reveal())
	if err != nil {
		return nil, fmt.Errorf("read the URL of tenant %s", key.id)
	}
	postgres.DetectLoss(cfg.ConnConfig)
	cfg.MaxConns = p.cfg.Conns
	cfg.MaxConnIdleTime = p.cfg.IdleConn
	cfg.HealthCheckPeriod = p.cfg.IdleConn
	cfg.ConnConfig.RuntimeParams["application_name"] = "homeroom"
	pool, err := pgxpool.NewWithConfig(context.Background(), cfg)
	if err != nil {
		return nil, fmt.Errorf("open pool of tenant %s: %w", key.id, err)
	}
	return &sharedPool{Pool: pool}, nil
}

// Close closes all pools. Those in use are closed when their last user is done.
func (p *Pools) Close() { p.cache.InvalidateAll() }
