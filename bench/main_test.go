package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The children are this program, started again.
func TestMain(m *testing.M) {
	if name := os.Getenv(childEnv); name != "" {
		if err := serveChild(name); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	countWait = time.Millisecond // the counts do not matter here
	os.Exit(m.Run())
}

// The smallest run measures everything and leaves nothing.
func TestRun(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, folder := range []string{dir, filepath.Dir(dir)} { // under root, Postgres is another user, and must be able to enter
		if err := os.Chmod(folder, 0o711); err != nil {
			t.Fatal(err)
		}
	}
	args := []string{
		"-rounds=1", "-signups=2", "-spares=2", "-tries=20", "-tenants=2", "-scale=1,2", "-catalog=5", "-migrations=../migrations/tenant", "-json", "-dir=" + dir,
	}
	var out bytes.Buffer
	if err := run(t.Context(), args, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	var r report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Lines) != 45 || len(r.Verdicts) != 55 {
		t.Errorf("%d lines and %d verdicts", len(r.Lines), len(r.Verdicts))
	}
	for _, l := range r.Lines {
		if l.N < 1 || l.Median <= 0 || l.P95 < l.Median {
			t.Errorf("%+v", l)
		}
	}
	if r.Machine.Settings["fsync"] != "on" {
		t.Errorf("fsync is %s", r.Machine.Settings["fsync"])
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestWriteText(t *testing.T) {
	t.Parallel()
	r := report{Machine: machine{Settings: map[string]string{"fsync": "on", "wal_sync_method": "fdatasync"}}}
	r.add(results{
		title:    "SIGN-UPS",
		lines:    []line{{What: strings.Repeat("é", 52), Clients: 8, N: 10000, Median: 1234.5, P95: 0.1, Rate: 99.95}},
		verdicts: []verdict{atLeast(strings.Repeat("é", 66), 81.55, "%", 80), atMost("too slow", 1000.4, "ms", 1000), atMost("no promise", 1, "×", 0)},
	})
	var out bytes.Buffer
	if err := r.writeText(&out); err != nil {
		t.Fatal(err)
	}
	for text := range strings.SplitSeq(out.String(), "\n") {
		if n := len([]rune(text)); n > 100 {
			t.Errorf("%d columns: %s", n, text)
		}
	}
	for _, want := range []string{"81.5 %   ≥ 80 %    met\n", "1000 ms   ≤ 1000 ms MISSED\n", "1.00 ×\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
}

func TestPercentile(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		values  []float64
		p, want float64
	}{
		{nil, 0.5, 0},
		{[]float64{7}, 0.95, 7},
		{[]float64{3, 1, 2}, 0.5, 2},
		{[]float64{4, 1, 2, 3}, 0.5, 2.5},
		{[]float64{0, 10}, 0.95, 9.5},
	} {
		if got := percentile(c.values, c.p); got != c.want {
			t.Errorf("percentile of %v at %g is %g, want %g", c.values, c.p, got, c.want)
		}
	}
}
