// Package metrics tells Prometheus how the fleet is: what the doctor has found, how many tenants are in which state, and how
// far the open run over the fleet is. Nothing in it opens a tenant's database or asks for its size.
package metrics

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"homeroom/catalog"
)

// Config is what Metrics needs.
type Config struct {
	Catalog *catalog.Store
	// Every is how old the counts from the catalog may become, however often they are asked for. Defaults to 10 s.
	Every time.Duration
	// Logger is where failures go; whoever asks gets the other metrics all the same. Defaults to slog.Default().
	Logger *slog.Logger
}

// Metrics are those of one process.
type Metrics struct {
	registry *prometheus.Registry
	logger   *slog.Logger
	findings *prometheus.GaugeVec
	lastRun  prometheus.Gauge
	duration prometheus.Gauge
	ended    *prometheus.CounterVec
	queue    *prometheus.GaugeVec
}

// New makes Metrics, with those of the Go runtime and of the process.
func New(cfg Config) (*Metrics, error) {
	if cfg.Catalog == nil {
		return nil, errors.New("metrics need a catalog")
	}
	if cfg.Every == 0 {
		cfg.Every = 10 * time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		logger:   cfg.Logger,
		findings: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "homeroom_doctor_findings", Help: "What the last examination of this process has found, by code and severity.",
		}, []string{"code", "severity"}),
		lastRun: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "homeroom_doctor_last_run_timestamp_seconds", Help: "When the last examination of this process began; 0 when another process examines.",
		}),
		duration: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "homeroom_doctor_duration_seconds", Help: "How long the last examination of this process took.",
		}),
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "homeroom_tenant_sessions_ended_total",
			Help: "Sessions of tenants' roles that this process has ended, because they could have stopped the other tenants, by server and reason.",
		}, []string{"server", "reason"}),
		queue: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "homeroom_notification_queue_usage",
			Help: "How full a server's queue of NOTIFY is, from 0 to 1, at the last look a few seconds ago; NaN where it cannot be told.",
		}, []string{"server"}),
	}
	m.registry.MustRegister(m.findings, m.lastRun, m.duration, m.ended, m.queue, newFleet(cfg),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m, nil
}

// Handler answers GET /metrics.
func (m *Metrics) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorLog: scrapeLogger{m.logger}, ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: 4, Timeout: 10 * time.Second,
	}))
	return mux
}

// scrapeLogger logs the errors of a scrape.
type scrapeLogger struct{ logger *slog.Logger }

// Println implements promhttp.Logger.
func (l scrapeLogger) Println(v ...any) {
	l.logger.Log(context.Background(), slog.LevelWarn, "gather metrics", "error", v)
}

// Finding is a kind of finding, as it is counted.
type Finding struct{ Code, Severity string }

// ObserveExamination records an examination by the doctor: the number of findings of each kind, its start and its duration.
func (m *Metrics) ObserveExamination(findings map[Finding]int, at time.Time, took time.Duration) {
	m.findings.Reset()
	for finding, n := range findings {
		m.findings.WithLabelValues(finding.Code, finding.Severity).Set(float64(n))
	}
	m.lastRun.Set(float64(at.UnixMilli()) / 1000)
	m.duration.Set(took.Seconds())
}

// SessionEnded tells of a session of a tenant's role that was ended.
func (m *Metrics) SessionEnded(server, reason string) { m.ended.WithLabelValues(server, reason).Inc() }

// NotificationQueue tells how full a server's queue of NOTIFY is, from 0 to 1; NaN is not known.
func (m *Metrics) NotificationQueue(server string, usage float64) {
	m.queue.WithLabelValues(server).Set(usage)
}

// ResetFindings removes the findings of this process: another process examines from now on.
func (m *Metrics) ResetFindings() {
	m.findings.Reset()
	m.lastRun.Set(0)
	m.duration.Set(0)
}
