// Package doctor compares the identity provider, the catalog and the servers with one another, in all directions, and
// repairs what provably belongs to Homeroom.
//
// The crash tests use it as their auditor, and `homeroom doctor` runs it. An examination changes nothing. A running
// service changes things between two reads. So the doctor reads the catalog's rows before and after everything else,
// reports a thing as missing only when its row existed all the time, ignores work in progress, and checks each problem
// a second time before it reports it. The catalog's clock decides what is overdue.
package doctor

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"homeroom/catalog"
	"homeroom/identity"
	"homeroom/internal/setting"
	"homeroom/tenant"
)

// Config is the configuration of a Doctor.
type Config struct {
	Catalog *catalog.Store
	Servers tenant.Servers
	// Identity is the provider; nil if none is configured. Only an [identity.Lister] can be searched for accounts
	// without a sign-up.
	Identity identity.Provider
	// Jobs lists the unfinished jobs, CancelJob cancels one. Both may be nil.
	Jobs      func(ctx context.Context) ([]Job, error)
	CancelJob func(ctx context.Context, id int64) error
	// Reconcile finishes or undoes the sign-ups that are due. It may be nil: a running service does that within
	// seconds.
	Reconcile func(ctx context.Context) error
	// Resume resumes a sign-up that needs an operator, and fails if its cause still exists. It may be nil.
	Resume func(ctx context.Context, signup uuid.UUID) error
	// KeyCheck is the check value of the tenant key ([tenant.KeyCheck]), which is compared with the catalog's. Without
	// it the doctor does not know whether the key is the right one.
	KeyCheck []byte
	// Spares is how many spares the service keeps on each server. Defaults to 0: then an empty stock is no problem.
	Spares int
	// QueueWarnAt is the share of a server's notification queue, from 0 to 1, above which there is a finding. Defaults
	// to 0.25.
	QueueWarnAt float64
	// Tolerate are the codes of warnings about servers ([tenant.Warning]) that are known and accepted.
	Tolerate []string
	// Actor is who repairs, for the audit log. Defaults to "homeroom doctor".
	Actor string
	// Concurrency is how many databases the doctor opens at the same time. Defaults to 4.
	Concurrency int
	// Pause is the time between the first pass and the second, which only runs if the first has found something.
	// Defaults to 1 s.
	Pause time.Duration
	// Settings names settings in advice: TenantKey, TenantMigrations, Auth0Connection and "Servers.<name>". Defaults to these names.
	Settings setting.Names
	// Logger receives warnings. Defaults to slog.Default().
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.Actor == "" {
		c.Actor = "homeroom doctor"
	}
	if c.Concurrency == 0 {
		c.Concurrency = 4
	}
	if c.QueueWarnAt == 0 {
		c.QueueWarnAt = 0.25
	}
	if c.Pause == 0 {
		c.Pause = time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

// Job is a durable job that has not ended.
type Job struct {
	ID          int64
	Kind, State string
	// TenantID is the tenant of the job, if it has one.
	TenantID *uuid.UUID
	// Stuck reports whether the job has been running for longer than a job may.
	Stuck bool
}

// Doctor examines and repairs. It is safe for use by many goroutines.
type Doctor struct {
	cfg Config

	mu sync.Mutex
	// opened is the last tenant whose database a limited examination has opened.
	opened uuid.UUID
	// lastAsked is the last user whose account was looked up one by one, because no list shows it.
	lastAsked uuid.UUID
}

// New returns a Doctor. It opens no connection before it is used.
func New(cfg Config) (*Doctor, error) {
	cfg = cfg.withDefaults()
	if cfg.Catalog == nil || len(cfg.Servers) == 0 {
		return nil, errors.New("the doctor needs a catalog and at least one server for tenants")
	}
	return &Doctor{cfg: cfg}, nil
}
