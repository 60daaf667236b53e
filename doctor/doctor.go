// Package doctor compares the identity provider, the catalog and the servers with one another, in all directions, and repairs
// what is provably ours.
//
// It is the auditor that the crash tests use, shipped as `homeroom doctor`. An examination changes nothing. While the service works,
// things come and go between two reads; so rows are read before and after everything else, a thing counts as missing only
// when its row was there all the time, what is under way is left to whoever is at it, and whatever looks wrong is looked
// at twice before it is told. The catalog's clock decides what is overdue.
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
	"homeroom/tenant"
)

// Config is what a Doctor needs.
type Config struct {
	Catalog *catalog.Store
	Servers tenant.Servers
	// Identity is the provider; nil when none is configured. Only one that is an [identity.Lister] can be searched for logins
	// that is unknown.
	Identity identity.Provider
	// Jobs lists the unfinished jobs, CancelJob ends one. Both may be nil.
	Jobs      func(ctx context.Context) ([]Job, error)
	CancelJob func(ctx context.Context, id int64) error
	// Reconcile finishes or undoes the sign-ups that are due. Without it a running service does that, within seconds.
	Reconcile func(ctx context.Context) error
	// Resume resumes a sign-up that needs an operator, and fails where its cause is still there. It may be nil.
	Resume func(ctx context.Context, signup uuid.UUID) error
	// KeyCheck is the check value of the tenant key ([tenant.KeyCheck]), to be compared with the catalog's. Without it nobody knows
	// whether the key is the right one.
	KeyCheck []byte
	// Spares is how many spares the service keeps on each server. Defaults to 0: an empty stock is as it should be.
	Spares int
	// QueueWarnAt is the share of a server's queue of notifications from which it is told, from 0 to 1. Defaults to 0.25.
	QueueWarnAt float64
	// Tolerate are the codes of warnings about servers ([tenant.Warning]) that are known and wanted so.
	Tolerate []string
	// Actor is who repairs, for the audit. Defaults to "homeroom doctor".
	Actor string
	// Concurrency is how many databases it opens at the same time. Defaults to 4.
	Concurrency int
	// Pause is the time between the first pass and the second, which only takes place when the first has found something.
	// Defaults to 1 s.
	Pause time.Duration
	// Logger is where warnings go. Defaults to slog.Default().
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
	// TenantID is what it is about, if it is about a tenant.
	TenantID *uuid.UUID
	// Stuck: it has been running for longer than a job may.
	Stuck bool
}

// Doctor examines and repairs. It may be used from many goroutines.
type Doctor struct {
	cfg Config

	mu sync.Mutex
	// opened is the last tenant whose database a bounded examination has opened.
	opened uuid.UUID
	// asked is the last user whose login was asked for by itself, where no list shows it.
	lastAsked uuid.UUID
}

// New makes a Doctor. It connects to nothing until it is asked.
func New(cfg Config) (*Doctor, error) {
	cfg = cfg.withDefaults()
	if cfg.Catalog == nil || len(cfg.Servers) == 0 {
		return nil, errors.New("the doctor needs a catalog and at least one server for tenants")
	}
	return &Doctor{cfg: cfg}, nil
}
