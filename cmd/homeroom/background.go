package main

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"homeroom/fleet"
	"homeroom/internal/jobs"
	"homeroom/internal/metrics"
	"homeroom/internal/retention"
	"homeroom/internal/wait"
	"homeroom/tenant"
)

const (
	// workEvery is how often a service looks for a run that an operator has started or resumed, or whose process has
	// died.
	workEvery = time.Second
	// migrateEvery is how often a service checks the fleet again once it is up to date: an older program that is
	// still running may add tenants, and a server may come back. A check costs one query.
	migrateEvery = time.Minute
	// fingerprintEvery is how often a service looks for migrated tenants that have no fingerprint yet.
	fingerprintEvery = 10 * time.Second
	// abandonedMailsEvery is how often a service looks for mails whose sender has died.
	abandonedMailsEvery = time.Hour
)

// relay makes the relay, which turns events of the outbox into jobs.
func (a *app) relay() (*jobs.Relay, error) {
	fanOuts := []jobs.FanOut{a.webhooks.FanOutTx}
	if a.mails != nil {
		fanOuts = append(fanOuts, a.mails.FanOutTx)
		if a.cfg.choosesLater() {
			fanOuts = append(fanOuts, a.askForPasswords)
		}
	}
	return jobs.NewRelay(jobs.RelayConfig{Catalog: a.catalog, FanOuts: fanOuts, Logger: a.logger})
}

// handlers returns the functions that do the jobs.
func (a *app) handlers() jobs.Handlers {
	handlers := jobs.Handlers{Signups: a.signup, Webhooks: a.webhooks}
	if a.mails != nil {
		handlers.Mails = a.mails
	}
	return handlers
}

// markAbandonedMails marks the mails whose sender has died as unknown, until ctx ends.
func (a *app) markAbandonedMails(ctx context.Context) {
	for {
		if err := a.mails.MarkAbandoned(ctx); err != nil && ctx.Err() == nil {
			a.logger.Warn("mark abandoned mails", "error", err)
		}
		if wait.For(ctx, abandonedMailsEvery) != nil {
			return
		}
	}
}

// sweeper makes the sweeper, which deletes rows of the catalog that are older than their retention time.
func (a *app) sweeper() (*retention.Sweeper, error) {
	return retention.New(retention.Config{
		Catalog: a.catalog, Signups: time.Duration(a.cfg.KeepSignups), Events: time.Duration(a.cfg.KeepEvents),
		Runs: time.Duration(a.cfg.KeepRuns), Audit: time.Duration(a.cfg.KeepAudit), Logger: a.logger,
	})
}

// workOnRuns works on the runs that other processes have started, until ctx ends.
func (a *app) workOnRuns(ctx context.Context, all *fleet.Fleet) {
	for {
		if _, err := all.Work(ctx); err != nil && ctx.Err() == nil {
			a.logger.Error("work on a migration run", "error", err)
		}
		if wait.For(ctx, workEvery) != nil {
			return
		}
	}
}

// migrateContinuously migrates the fleet while the service already answers, until ctx ends. It tries quarantined
// tenants once, at the start.
func (a *app) migrateContinuously(ctx context.Context, all *fleet.Fleet) {
	options := fleet.Options{By: "serve on " + hostname(), Automatic: true}
	lastReason := "" // why no run was started
	for {
		report, err := all.Run(ctx, options)
		options.SkipQuarantined = true
		var halted *fleet.HaltedError
		var paused *fleet.PausedError
		var canary *fleet.CanaryError
		switch {
		case ctx.Err() != nil:
			return
		case errors.As(err, &halted), errors.As(err, &canary):
			if lastReason != err.Error() {
				lastReason = err.Error()
				a.logger.Warn("tenants stay behind", "error", err)
			}
		case errors.As(err, &paused):
		case err != nil:
			a.logger.Error("migrate the fleet", "error", err)
		case report.Run.Total > 0:
			a.logger.Info("migrated the fleet", "run", report.Run.ID, "state", report.Run.State, "done", report.Run.Done,
				"failed", report.Run.Failed, "joined", report.Joined)
		}
		if wait.For(ctx, migrateEvery) != nil {
			return
		}
	}
}

// watchSessions ends sessions of tenants that could block other tenants, until ctx ends.
func (a *app) watchSessions(ctx context.Context, group *errgroup.Group, m *metrics.Metrics) {
	longest := time.Duration(a.cfg.MaxTransaction)
	if longest == 0 {
		longest = -1 // off
	}
	for _, server := range a.servers {
		watch := server.NewWatch(tenant.WatchConfig{
			MaxTransaction: longest, Logger: a.logger,
			OnSessionEnded: func(s tenant.EndedSession) { m.SessionEnded(s.Server, s.Reason) },
			OnQueueUsage:   func(usage float64) { m.NotificationQueue(server.Name(), usage) },
		})
		group.Go(func() error { watch.Run(ctx); return nil })
	}
}

// takeFingerprints records fingerprints of migrated tenants' schemas, until ctx ends.
func (a *app) takeFingerprints(ctx context.Context, all *fleet.Fleet) {
	for wait.For(ctx, fingerprintEvery) == nil {
		if err := all.TakeFingerprints(ctx, nil); err != nil && ctx.Err() == nil {
			a.logger.Warn("take fingerprints of tenants' schemas", "error", err)
		}
	}
}
