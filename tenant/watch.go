package tenant

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// WatchConfig limits the use of the server's shared resources by the sessions of tenants' roles.
type WatchConfig struct {
	// Every is the interval between two checks. Defaults to 2 s.
	Every time.Duration
	// MaxLocks is how many locks the sessions of one tenant's role may hold together. If they hold more, the sessions
	// with most locks are ended. Every savepoint can take a lock, and when the lock table is full, nobody can work or
	// connect. Defaults to a quarter of the server's lock table. All tenants together may hold twice as many.
	MaxLocks int
	// MaxTransaction is how long a transaction may last. A longer one prevents VACUUM from removing dead rows, also in
	// the shared system catalogs, and the clean-up of the notification queue. Defaults to 30 min; negative means no
	// limit.
	MaxTransaction time.Duration
	// OnQueueUsage, if not nil, is called at each check with the used share of the notification queue, from 0 to 1; NaN
	// if it cannot be read.
	OnQueueUsage func(usage float64)
	// OnSessionEnded, if not nil, is called for each session that was ended.
	OnSessionEnded func(EndedSession)
	// Logger logs the ended sessions. Defaults to slog.Default().
	Logger *slog.Logger
}

// When the used share of the notification queue reaches queueFull, transactions longer than queueTransaction are ended:
// they may prevent its clean-up.
const (
	queueFull        = 0.1
	queueTransaction = 10 * time.Second
)

// The reasons for which the watch ends a session.
const (
	EndedForLocks       = "locks"
	EndedForTransaction = "transaction"
	EndedForQueue       = "notification_queue"
)

// EndedSession is a session that the watch has ended.
type EndedSession struct {
	Server string
	Tenant ID
	// Reason is one of the reasons above.
	Reason string
	// Locks is how many locks it held, Transaction how long its transaction lasted.
	Locks       int
	Transaction time.Duration
	process     int
	role        uint32
}

// Watch ends sessions of tenants' roles that hold too much of a server's shared resources. It is not safe for concurrent use.
type Watch struct {
	server *Server
	cfg    WatchConfig
	// conn stays open, in a transaction that holds locks on shared system catalogs: when the lock table is full, nobody
	// can connect or lock a catalog. Between two checks the transaction has no snapshot, so it does not delay VACUUM.
	// It was begun at startedAt.
	conn      *pgx.Conn
	startedAt time.Time
}

// maxTransactionAge is how long the watch keeps its transaction, and the locks on the catalogs, before it begins a new one.
const maxTransactionAge = time.Minute

// NewWatch returns a Watch. It connects at the first check.
func (s *Server) NewWatch(cfg WatchConfig) *Watch {
	cfg.Every = cmp.Or(cfg.Every, 2*time.Second)
	cfg.MaxTransaction = cmp.Or(cfg.MaxTransaction, 30*time.Minute)
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	return &Watch{server: s, cfg: cfg}
}

// Run checks at every interval until ctx ends.
func (w *Watch) Run(ctx context.Context) {
	defer w.close(ctx)
	failing := false
	ticker := time.NewTicker(w.cfg.Every)
	defer ticker.Stop()
	for {
		_, err := w.Check(ctx)
		if err != nil && !failing && ctx.Err() == nil { // log each outage once
			w.cfg.Logger.Warn("watch the tenants' sessions", "server", w.server.Name(), "error", err)
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (w *Watch) close(ctx context.Context) {
	if w.conn != nil {
		_ = w.conn.Close(context.WithoutCancel(ctx))
		w.conn = nil
	}
}

// Check checks the sessions once, and returns those that it has ended.
func (w *Watch) Check(ctx context.Context) (ended []EndedSession, err error) {
	sessions, limit, queue, err := w.sessions(ctx)
	if w.cfg.OnQueueUsage != nil {
		w.cfg.OnQueueUsage(queue)
	}
	if err != nil {
		return nil, fmt.Errorf("read the sessions of server %s: %w", w.server.Name(), err)
	}
	for _, session := range w.choose(sessions, cmp.Or(w.cfg.MaxLocks, limit), queue) {
		if err := w.end(ctx, session); err != nil {
			return ended, err
		}
		ended = append(ended, session)
	}
	return ended, nil
}

// keepTransaction connects, and begins the transaction that holds the locks on the catalogs which a check reads.
func (w *Watch) keepTransaction(ctx context.Context) (err error) {
	if w.conn == nil || w.conn.IsClosed() {
		if w.conn, err = w.server.connectAs(ctx, maintenanceDatabase, ""); err != nil {
			w.conn = nil
			return err
		}
	}
	if w.conn.PgConn().TxStatus() == 'T' && time.Since(w.startedAt) < maxTransactionAge {
		return nil
	}
	if w.conn.PgConn().TxStatus() != 'I' {
		if _, err := w.conn.Exec(ctx, "rollback"); err != nil {
			return err
		}
	}
	w.startedAt = time.Now()
	_, err = w.conn.Exec(ctx, "begin isolation level read committed; select from pg_roles, pg_auth_members limit 0", pgx.QueryExecModeSimpleProtocol)
	return err
}

// sessions returns the sessions of the tenants' roles, those with most locks first. It calls the functions behind the
// views, which need no new lock. limit is a quarter of the server's lock table; queue is the used share of the
// notification queue, NaN if it cannot be read.
func (w *Watch) sessions(ctx context.Context) (sessions []EndedSession, limit int, queue float64, err error) {
	queue = math.NaN()
	if err := w.keepTransaction(ctx); err != nil {
		return nil, 0, queue, err
	}
	if _, err := w.conn.Exec(ctx, "select pg_stat_clear_snapshot()"); err != nil { // a transaction caches the sessions of its first query
		return nil, 0, queue, err
	}
	err = w.conn.QueryRow(ctx, `
		select current_setting('max_locks_per_transaction')::int
			* (current_setting('max_connections')::int + current_setting('max_prepared_transactions')::int) / 4, pg_notification_queue_usage()`).
		Scan(&limit, &queue)
	if err != nil {
		return nil, 0, queue, err
	}
	rows, err := w.conn.Query(ctx, `
		select session.pid, session.usesysid, rolname::text, coalesce(held.locks, 0),
			coalesce(extract(epoch from clock_timestamp() - session.xact_start), 0)::float8
		from pg_stat_get_activity(null) as session
		join pg_roles on pg_roles.oid = session.usesysid
		left join (select pid, count(*)::int as locks from pg_lock_status() where granted group by pid) as held on held.pid = session.pid
		where rolname ~ '^t_[a-z2-7]{26}$'
		order by 4 desc, 1`)
	if err != nil {
		return nil, 0, queue, err
	}
	var name string
	var seconds float64
	var session EndedSession
	_, err = pgx.ForEachRow(rows, []any{&session.process, &session.role, &name, &session.Locks, &seconds}, func() error {
		id, err := ParseDatabase(name)
		if err != nil {
			return nil //nolint:nilerr // not the name of a tenant
		}
		session.Server, session.Tenant, session.Transaction = w.server.Name(), id, time.Duration(seconds*float64(time.Second))
		sessions = append(sessions, session)
		return nil
	})
	return sessions, limit, queue, err
}

// choose returns the sessions to end, each with the first reason that applies.
func (w *Watch) choose(sessions []EndedSession, maxLocks int, queue float64) (chosen []EndedSession) {
	all, byTenant := 0, map[ID]int{}
	for _, session := range sessions {
		all += session.Locks
		byTenant[session.Tenant] += session.Locks
	}
	for _, session := range sessions {
		switch {
		case session.Locks > 1 && (byTenant[session.Tenant] > maxLocks || all > 2*maxLocks):
			session.Reason = EndedForLocks
			all -= session.Locks
			byTenant[session.Tenant] -= session.Locks
		case w.cfg.MaxTransaction > 0 && session.Transaction > w.cfg.MaxTransaction:
			session.Reason = EndedForTransaction
		case queue >= queueFull && session.Transaction > queueTransaction:
			session.Reason = EndedForQueue
		default:
			continue
		}
		chosen = append(chosen, session)
	}
	return slices.Clip(chosen)
}

// end ends a session, if the process still serves that role.
func (w *Watch) end(ctx context.Context, session EndedSession) error {
	var done bool
	err := w.conn.QueryRow(ctx, "select pg_terminate_backend(pid) from pg_stat_get_activity($1) where usesysid = $2", session.process, session.role).Scan(&done)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil // it has ended by itself
	}
	if err != nil {
		return fmt.Errorf("end process %d of tenant %s on server %s: %w", session.process, session.Tenant, session.Server, err)
	}
	w.cfg.Logger.Warn("ended a session of a tenant's role, which could have stopped the other tenants", "server", session.Server,
		"tenant", session.Tenant, "reason", session.Reason, "process", session.process, "locks", session.Locks,
		"transaction", session.Transaction.Round(time.Second))
	if w.cfg.OnSessionEnded != nil {
		w.cfg.OnSessionEnded(session)
	}
	return nil
}
