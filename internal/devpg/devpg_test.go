package devpg_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"homeroom/internal/devpg"
	"homeroom/internal/pgtest"
)

// helperDir tells a copy of this test binary to start a server there and wait to be killed.
const helperDir = "DEVPG_TEST_HELPER_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(helperDir); dir != "" {
		server, err := devpg.Start(context.Background(), devpg.Config{Dir: dir, Settings: fast})
		fmt.Println(err)
		if err == nil {
			<-server.Done()
		}
		os.Exit(1)
	}
	os.Exit(m.Run())
}

var fast = map[string]string{"fsync": "off"}

// folder is a temporary one that the server's user can reach; that of t.TempDir is closed to others.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "devpg-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	return dir
}

func start(t *testing.T, cfg devpg.Config) *devpg.Server {
	t.Helper()
	cfg.Settings = fast
	server, err := devpg.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return server
}

func exec(t *testing.T, server *devpg.Server, sql string) {
	t.Helper()
	pgtest.Exec(t, server.URL("postgres"), sql)
}

func query(t *testing.T, server *devpg.Server, sql string) (value string) {
	t.Helper()
	if err := pgtest.Connect(t, server.URL("postgres")).QueryRow(t.Context(), sql).Scan(&value); err != nil {
		t.Fatal(err)
	}
	return value
}

func TestSecondStartFindsDataAndPort(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(folder(t), "made", "by", "start")
	first := start(t, devpg.Config{Dir: dir})
	exec(t, first, `create table kept as select 'yes' as answer`)
	if err := first.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-first.Done()
	if err := first.Stop(t.Context()); err != nil {
		t.Errorf("second Stop: %v", err)
	}

	second := start(t, devpg.Config{Dir: dir})
	if second.URL("postgres") != first.URL("postgres") {
		t.Errorf("the second start has another address or password than the first")
	}
	if got := query(t, second, `select answer from kept`); got != "yes" {
		t.Errorf("kept = %q, want yes", got)
	}
}

func TestServerIsClosedToOthers(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	server := start(t, devpg.Config{Dir: dir})
	for setting, want := range map[string]string{
		"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "password_encryption": "scram-sha-256",
		"server_encoding": "UTF8", "fsync": "off", "max_connections": "200",
	} {
		if got := query(t, server, `show `+setting); got != want {
			t.Errorf("%s = %q, want %q", setting, got, want)
		}
	}
	if got := query(t, server, `show server_version`); !strings.HasPrefix(got, server.Version()) {
		t.Errorf("the server is version %s, Version() says %s", got, server.Version())
	}
	if got := query(t, server, `select string_agg(distinct auth_method, ',') from pg_hba_file_rules`); got != "scram-sha-256" {
		t.Errorf("pg_hba.conf lets in by %s, want by scram-sha-256 alone", got)
	}
	cfg, err := pgx.ParseConfig(server.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	password := cfg.Password
	cfg.Password = "guess"
	var refused *pgconn.PgError
	if _, err := pgx.ConnectConfig(t.Context(), cfg); !errors.As(err, &refused) || refused.Code != "28P01" {
		t.Errorf("a wrong password gives %v, want 28P01", err)
	}
	if info, err := os.Stat(filepath.Join(dir, "password")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("password file: %v, %v, want mode 0600", info.Mode(), err)
	}
	if info, err := os.Stat(server.DataDir()); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("data folder: %v, %v, want mode 0700", info.Mode(), err)
	}
	if log, err := os.ReadFile(server.LogFile()); err != nil || strings.Contains(string(log), password) {
		t.Errorf("the log (%v) must exist and not hold the password", err)
	}
}

func TestOneServerPerFolder(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	start(t, devpg.Config{Dir: dir})
	_, err := devpg.Start(t.Context(), devpg.Config{Dir: dir})
	if !errors.Is(err, devpg.ErrInUse) || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), strconv.Itoa(os.Getpid())) {
		t.Errorf("second Start on one folder: %v, want ErrInUse with the folder and the process", err)
	}
	if err := devpg.Remove(t.Context(), dir); !errors.Is(err, devpg.ErrInUse) {
		t.Errorf("Remove of a running server's folder: %v, want ErrInUse", err)
	}
}

func TestDataOfAnotherVersion(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	server := start(t, devpg.Config{Dir: dir})
	if err := server.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	version := filepath.Join(server.DataDir(), "PG_VERSION")
	if err := os.WriteFile(version, []byte("12\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := devpg.Start(t.Context(), devpg.Config{Dir: dir, Settings: fast})
	var wrong *devpg.VersionError
	if !errors.As(err, &wrong) || wrong.Data != 12 || wrong.DataDir != server.DataDir() {
		t.Fatalf("start on data of version 12: %v, want a VersionError", err)
	}
	if !strings.Contains(err.Error(), "install Postgres 12") {
		t.Errorf("error %q does not say what to do", err)
	}
}

func TestLostPassword(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	server := start(t, devpg.Config{Dir: dir})
	if err := errors.Join(server.Stop(t.Context()), os.Remove(filepath.Join(dir, "password"))); err != nil {
		t.Fatal(err)
	}
	if _, err := devpg.Start(t.Context(), devpg.Config{Dir: dir}); err == nil || !strings.Contains(err.Error(), "bring it back") {
		t.Errorf("start without its password file: %v, want what to do", err)
	}
}

func TestCrashKeepsCommittedData(t *testing.T) {
	t.Parallel()
	server := start(t, devpg.Config{Dir: folder(t)})
	exec(t, server, `create table kept as select 'yes' as answer`)
	url, done := server.URL("postgres"), server.Done()
	if err := server.Crash(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-done
	if _, err := pgx.Connect(t.Context(), url); err == nil {
		t.Fatal("the crashed server still takes connections")
	}
	if err := server.Restart(t.Context(), devpg.Fast); err != nil {
		t.Fatal(err)
	}
	if server.URL("postgres") != url {
		t.Error("the address changed over a crash")
	}
	if got := query(t, server, `select answer from kept`); got != "yes" {
		t.Errorf("kept = %q, want yes", got)
	}
	if log, _ := os.ReadFile(server.LogFile()); !strings.Contains(string(log), "not properly shut down") {
		t.Error("the server did not recover: the stop was no crash")
	}
	if err := server.Restart(t.Context(), devpg.Immediate); err != nil {
		t.Errorf("restart of a running server: %v", err)
	}
}

func TestPorts(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	taken := listener.Addr().(*net.TCPAddr).Port
	dir := folder(t)
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "port"), []byte(strconv.Itoa(taken)), 0o600); err != nil {
		t.Fatal(err)
	}
	server := start(t, devpg.Config{Dir: dir})
	if server.Port() == taken {
		t.Errorf("the port of last time is taken, and yet the server has it")
	}
	if err := server.Crash(t.Context()); err != nil {
		t.Fatal(err)
	}
	port := strconv.Itoa(server.Port())
	listener, err = net.Listen("tcp4", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	if err := server.Restart(t.Context(), devpg.Fast); !errors.Is(err, devpg.ErrPortTaken) || !strings.Contains(err.Error(), port) {
		t.Errorf("restart on a taken port: %v, want ErrPortTaken with its number", err)
	}
}

func TestBadSettingQuotesTheLog(t *testing.T) {
	t.Parallel()
	_, err := devpg.Start(t.Context(), devpg.Config{Dir: folder(t), Settings: map[string]string{"fsync": "off", "work_mem": "plenty"}})
	if err == nil || !strings.Contains(err.Error(), `invalid value for parameter "work_mem"`) {
		t.Errorf("start with a bad setting: %v, want what Postgres said", err)
	}
}

func TestStopDoesNotWaitForeverForSessions(t *testing.T) {
	t.Parallel()
	server := start(t, devpg.Config{Dir: folder(t)})
	ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	if err := server.Stop(ctx); err != nil {
		t.Fatalf("stop in no time: %v", err)
	}
	<-server.Done()
}

func TestCancelledStartLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	unfinished := filepath.Join(dir, "cluster", "init-killed", "data")
	if err := os.MkdirAll(unfinished, 0o755); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond) // initdb takes several times that
	defer cancel()
	if _, err := devpg.Start(ctx, devpg.Config{Dir: dir, Settings: fast}); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("start in 100 ms: %v, want the deadline's error", err)
	}
	server := start(t, devpg.Config{Dir: dir})
	entries, err := os.ReadDir(filepath.Dir(server.DataDir()))
	if err != nil || len(entries) != 1 {
		t.Errorf("beside the data: %v, %v, want nothing", entries, err)
	}
}

func TestStateDir(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", "/somewhere/state")
	want := "/somewhere/state/homeroom"
	if os.Geteuid() == 0 {
		want = "/var/lib/homeroom"
	}
	if got, err := devpg.StateDir(); err != nil || got != want {
		t.Errorf("StateDir() = %q, %v, want %q", got, err, want)
	}
}
