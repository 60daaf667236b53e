package metrics_test

import (
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"homeroom/catalog"
	"homeroom/internal/metrics"
	"homeroom/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// scrape is what Prometheus reads.
func scrape(t *testing.T, m *metrics.Metrics) string {
	t.Helper()
	answer := httptest.NewRecorder()
	m.Handler().ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	if answer.Code != http.StatusOK {
		t.Fatalf("%d %s", answer.Code, answer.Body)
	}
	return answer.Body.String()
}

func TestScrape(t *testing.T) {
	t.Parallel()
	store, err := catalog.Open(t.Context(), catalog.Config{URL: pgtest.Database(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	if err := store.RegisterServers(t.Context(), []string{"main"}); err != nil {
		t.Fatal(err)
	}
	m, err := metrics.New(metrics.Config{Catalog: store, Every: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if text := scrape(t, m); !strings.Contains(text, `homeroom_tenants{state="building"} 0`) || strings.Contains(text, "homeroom_migration_run_tenants{") ||
		strings.Contains(text, "homeroom_doctor_findings{") {
		t.Error(text)
	}
	run := catalog.NewRun{ID: uuid.New(), Lineage: "lunch", Direction: "up", Total: 7, Concurrency: 1, StartedBy: "test"}
	if err := store.StartRun(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	spare := catalog.NewSpare{ID: uuid.New(), Server: "main", Database: "t_aaaaaaaaaaaaaaaaaaaaaaaaaa", Lineage: "lunch"}
	if err := store.InsertSpare(t.Context(), spare); err != nil {
		t.Fatal(err)
	}
	if text := scrape(t, m); !strings.Contains(text, `homeroom_tenants{state="building"} 0`) {
		t.Errorf("the catalog was asked again at once: %s", text)
	}

	fresh, err := metrics.New(metrics.Config{Catalog: store})
	if err != nil {
		t.Fatal(err)
	}
	fresh.ObserveExamination(map[metrics.Finding]int{{Code: "role_missing", Severity: "error"}: 2}, time.Unix(1800000000, 0), 1500*time.Millisecond)
	fresh.SessionEnded("main", "locks")
	fresh.NotificationQueue("main", 0.25)
	fresh.NotificationQueue("second", math.NaN())
	text := scrape(t, fresh)
	for _, want := range []string{
		`homeroom_tenants{state="building"} 1`, `homeroom_migration_run_tenants{direction="up",outcome="left",state="running"} 7`,
		`homeroom_doctor_findings{code="role_missing",severity="error"} 2`, "homeroom_doctor_last_run_timestamp_seconds 1.8e+09",
		"homeroom_doctor_duration_seconds 1.5", `homeroom_tenant_sessions_ended_total{reason="locks",server="main"} 1`,
		`homeroom_notification_queue_usage{server="main"} 0.25`, `homeroom_notification_queue_usage{server="second"} NaN`,
		"go_goroutines ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("it does not tell %s", want)
		}
	}
	fresh.ObserveExamination(nil, time.Unix(1800000600, 0), time.Second)
	if text := scrape(t, fresh); strings.Contains(text, "homeroom_doctor_findings{") {
		t.Errorf("it still tells what is gone: %s", text)
	}
	fresh.ResetFindings()
	if text := scrape(t, fresh); !strings.Contains(text, "homeroom_doctor_last_run_timestamp_seconds 0") {
		t.Error(text)
	}
}

// A catalog that is away costs its own figures, and no others.
func TestAnUnreachableCatalog(t *testing.T) {
	t.Parallel()
	store, err := catalog.Open(t.Context(), catalog.Config{URL: pgtest.Database(t)})
	if err != nil {
		t.Fatal(err)
	}
	store.Close()
	m, err := metrics.New(metrics.Config{Catalog: store})
	if err != nil {
		t.Fatal(err)
	}
	if text := scrape(t, m); strings.Contains(text, "homeroom_tenants{") || !strings.Contains(text, "go_goroutines ") {
		t.Error(text)
	}
	if _, err := metrics.New(metrics.Config{}); err == nil {
		t.Error("metrics without a catalog")
	}
}
