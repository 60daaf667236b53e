package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"homeroom/catalog"
	"homeroom/doctor"
	"homeroom/internal/metrics"
	"homeroom/internal/wait"
)

const (
	// examineFirst is the time before the first examination of a service, examineEvery the time between two.
	examineFirst = time.Minute
	examineEvery = 10 * time.Minute
	// examineOpen is how many databases one examination opens. Each examination opens the next ones, so that a fleet
	// of 10,000 has been opened once after 17 hours.
	examineOpen = 100
)

// watcher examines at intervals while the service runs. It changes nothing.
type watcher struct {
	catalog *catalog.Store
	doctor  *doctor.Doctor
	metrics *metrics.Metrics
	logger  *slog.Logger
	// told are the findings of the last examination, which are not logged again.
	told map[string]bool
}

// newWatcher makes the watcher, and listens at the address for metrics if one is configured.
func (a *app) newWatcher() (_ *watcher, metricsListener net.Listener, err error) {
	d, err := a.doctor("homeroom")
	if err != nil {
		return nil, nil, err
	}
	m, err := metrics.New(metrics.Config{Catalog: a.catalog, Logger: a.logger})
	if err != nil {
		return nil, nil, err
	}
	if a.cfg.MetricsAddr != "" {
		if metricsListener, err = net.Listen("tcp", a.cfg.MetricsAddr); err != nil {
			return nil, nil, fmt.Errorf("listen (HOMEROOM_METRICS_ADDR says where): %w", err)
		}
	}
	return &watcher{catalog: a.catalog, doctor: d, metrics: m, logger: a.logger}, metricsListener, nil
}

// start starts the watcher and the metrics server, until ctx ends. metricsListener may be nil.
func (w *watcher) start(ctx context.Context, group *errgroup.Group, metricsListener net.Listener) {
	group.Go(func() error { w.run(ctx); return nil })
	if metricsListener != nil {
		w.logger.Info("serving metrics", "addr", metricsListener.Addr().String())
		group.Go(func() error { return serveUntil(ctx, metricsListener, w.metrics.Handler()) })
	}
}

// run examines until ctx ends. One process examines for as long as it lives; the others check at intervals whether it
// still does.
func (w *watcher) run(ctx context.Context) {
	for wait.For(ctx, examineFirst) == nil {
		_, err := w.catalog.Exclusive(ctx, "doctor", func(ctx context.Context) error {
			for {
				w.pass(ctx)
				if wait.For(ctx, examineEvery) != nil {
					return context.Cause(ctx)
				}
			}
		})
		w.metrics.ResetFindings()
		if err != nil && ctx.Err() == nil {
			w.logger.Warn("examine", "error", err)
		}
	}
}

// pass examines once, and logs the findings that the last pass did not have.
func (w *watcher) pass(ctx context.Context) {
	report, err := w.doctor.Examine(ctx, doctor.Options{Open: examineOpen})
	if err != nil {
		if ctx.Err() == nil {
			w.logger.Error("examine", "error", err)
		}
		return
	}
	seen, counts := map[string]bool{}, map[metrics.Finding]int{}
	for _, f := range report.Findings {
		key := string(f.Code) + " " + f.Server + " " + f.Subject
		if seen[key] = true; !w.told[key] && f.Severity != doctor.Info {
			w.log(ctx, f)
		}
		counts[metrics.Finding{Code: string(f.Code), Severity: string(f.Severity)}]++
	}
	w.told = seen
	w.metrics.ObserveExamination(counts, report.StartedAt, report.Duration)
}

func (w *watcher) log(ctx context.Context, f doctor.Finding) {
	level := slog.LevelWarn
	if f.Severity == doctor.Error {
		level = slog.LevelError
	}
	attrs := []any{"code", f.Code, "subject", f.Subject, "detail", f.Detail}
	if f.Server != "" {
		attrs = append(attrs, "server", f.Server)
	}
	if f.TenantID != nil {
		attrs = append(attrs, "tenant", f.TenantID)
	}
	if f.SignupID != nil {
		attrs = append(attrs, "signup", f.SignupID)
	}
	w.logger.Log(ctx, level, "the doctor has found something", attrs...)
}

// serveUntil serves until ctx ends.
func serveUntil(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve HTTP: %w", err)
	case <-ctx.Done():
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if err := server.Shutdown(stopping); err != nil {
			return errors.Join(server.Close())
		}
		return nil
	}
}
