package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"homeroom/auth0/auth0test"
	"homeroom/internal/flaky"
	"homeroom/internal/logtest"
	"homeroom/internal/pgtest"
	"homeroom/internal/secret"
	"homeroom/tenant"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// binary builds the program with its kill points, once.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "homeroom-test-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "homeroom")
	out, err := exec.Command("go", "build", "-tags", "killpoints,dev,nomsgpack", "-o", path, ".").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build homeroom: %w\n%s", err, out)
	}
	return path, nil
})

var testKey = func() []byte { key := sha256.Sum256([]byte("the key of the tests")); return key[:] }()

// world is the environment of a service: a catalog and servers on real Postgres, and the simulator.
type world struct {
	catalogURL string
	serverURL  string
	auth0      *auth0test.Server
	pool       *pgxpool.Pool
	server     *tenant.Server
	spares     int
	// timeScale divides the waits of recovery; 1 stands for the intervals of production.
	timeScale int
	// env are environment variables of every process in it, args their arguments.
	env, args []string
	// ip is the address that its processes listen at.
	ip string
	// issuer is the issuer of the tokens that the processes accept. Empty stands for the simulator.
	issuer string
	// serverProxy is the proxy before the tenants' server, in tests that have one.
	serverProxy *proxy
}

// defaultTimeScale is the time scale of worlds that set no other: recovery begins so many times faster than in
// production.
const defaultTimeScale = 5

func newWorld(t *testing.T, catalogURL, serverURL string, spares int) *world {
	t.Helper()
	w := &world{catalogURL: catalogURL, serverURL: serverURL, auth0: auth0test.Start(t, auth0test.Config{}), spares: spares, timeScale: defaultTimeScale, ip: loopback()}
	var err error
	if w.pool, err = pgxpool.New(t.Context(), catalogURL); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.pool.Close)
	if w.server, err = tenant.Open(tenant.Config{URL: secret.String(serverURL), Key: testKey}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.server.Close)
	return w
}

// worlds counts the worlds.
var worlds atomic.Uint32

// loopback returns an address for one world: once a process is killed, another world may get its port, and would
// receive what a client of this one sends. Only Linux answers on all addresses of the loopback network by itself.
func loopback() string {
	if runtime.GOOS != "linux" {
		return "127.0.0.1"
	}
	n := worlds.Add(1)
	return fmt.Sprintf("127.0.%d.%d", 1+n/250, 1+n%250)
}

// process is a running homeroom.
type process struct {
	cmd     *exec.Cmd
	url     string // empty when it died before it answered
	logs    *logtest.Buffer
	serving chan string
	done    chan struct{}
}

// start runs `homeroom serve` and waits until it answers, or has died. extra are environment variables.
func (w *world) start(t *testing.T, extra ...string) *process {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	p := w.launch(t, path, extra...)
	p.await(t)
	return p
}

// launch runs `homeroom serve`.
func (w *world) launch(t *testing.T, path string, extra ...string) *process {
	t.Helper()
	return w.launchArgs(t, path, append([]string{"serve"}, w.args...), extra...)
}

// run runs another command of the program in a process of its own.
func (w *world) run(t *testing.T, args []string, extra ...string) *process {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	return w.launchArgs(t, path, args, extra...)
}

func (w *world) launchArgs(t *testing.T, path string, args []string, extra ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(path, args...), logs: &logtest.Buffer{}, done: make(chan struct{}), serving: make(chan string, 1)}
	p.cmd.Env = slices.Concat([]string{
		"HOMEROOM_ADDR=" + w.ip + ":0", "HOMEROOM_SHUTDOWN_DELAY=0s", "HOMEROOM_CATALOG_URL=" + w.catalogURL, "HOMEROOM_SERVER_MAIN_URL=" + w.serverURL,
		"HOMEROOM_TENANT_KEY=" + base64.StdEncoding.EncodeToString(testKey), "HOMEROOM_ALLOW_SUPERUSER=true",
		"HOMEROOM_SIGNUP_RATE=off", fmt.Sprintf("HOMEROOM_SPARES=%d", w.spares),
		"AUTH0_BASE_URL=" + w.auth0.URL(), "AUTH0_CLIENT_ID=homeroom-dev", "AUTH0_CLIENT_SECRET=homeroom-dev-secret",
		"AUTH0_AUDIENCE=https://api.homeroom.test", fmt.Sprintf("HOMEROOM_HASTE=%d", w.timeScale),
	}, w.env, extra)
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go p.read(stderr)
	t.Cleanup(p.kill)
	return p
}

// await waits until the process answers, or has died.
func (p *process) await(t *testing.T) {
	t.Helper()
	select {
	case p.url = <-p.serving:
	case <-p.done:
	case <-time.After(time.Minute):
		t.Fatalf("homeroom does not serve; it logged\n%s", p.logs)
	}
}

// read stores the log, finds the address in it, and waits for the end.
func (p *process) read(stderr io.Reader) {
	scanner := bufio.NewScanner(stderr)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		fmt.Fprintln(p.logs, scanner.Text())
		var line struct{ Msg, Addr string }
		if json.Unmarshal(scanner.Bytes(), &line) == nil && line.Msg == "serving" {
			p.serving <- "http://" + line.Addr
		}
	}
	_ = p.cmd.Wait()
	close(p.done)
}

// kill ends the process as a power failure would.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// waitDead waits until the process has killed itself.
func (p *process) waitDead(t *testing.T) {
	t.Helper()
	select {
	case <-p.done:
	case <-time.After(time.Minute):
		t.Fatalf("the process did not reach its kill point %s; it logged\n%s", p.cmd.Env[len(p.cmd.Env)-1], p.logs)
	}
	if code := p.cmd.ProcessState.ExitCode(); code != -1 {
		t.Fatalf("exit code %d, want death by a signal; it logged\n%s", code, p.logs)
	}
}

// eventually calls ask until it returns true.
func eventually(t *testing.T, what string, ask func() (bool, error)) {
	t.Helper()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(time.Minute)
	for {
		yes, err := ask()
		if yes {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("%s: it does not come; last error: %v", what, err)
		case <-ticker.C:
		}
	}
}

// number reads a number from the catalog.
func (w *world) number(ctx context.Context, sql string) (n int, err error) {
	err = w.pool.QueryRow(ctx, sql).Scan(&n)
	return n, err
}

// waitIdle waits until no work is left.
func (w *world) waitIdle(t *testing.T) {
	t.Helper()
	eventually(t, "everything settled", func() (bool, error) {
		n, err := w.underWay(t.Context())
		return err == nil && n == 0, errors.Join(err, fmt.Errorf("%d things are under way", n))
	})
}

// claimable is the condition that a spare may be given to a school.
const claimable = "tenants.xmin = claimable_xid and claimable_in = catalog_instance()"

// underWay counts unfinished sign-ups and re-provisionings, tenants that are reserved or half built, missing spares,
// and those to be discarded.
func (w *world) underWay(ctx context.Context) (int, error) {
	return w.number(ctx, `
		select (select count(*) from signups where status in ('pending', 'provisioning'))
			+ (select count(*) from tenants where state in ('building', 'reserved')
				and not exists (select from signups where tenant_id = tenants.id and status = 'expired'))
			+ (select count(*) from river.river_job where kind = 'reprovision_tenant' and finalized_at is null)
			+ (select count(*) from tenants where state = 'spare' and (`+claimable+`) is not true)
			+ greatest(0, `+fmt.Sprint(w.spares)+` - (select count(*) from tenants where state = 'spare' and `+claimable+`))`)
}

// audit checks what must hold after any crash: the doctor finds nothing, and independently of it everything is
// usable.
func (w *world) audit(t *testing.T) {
	t.Helper()
	w.examine(t)
	for _, wrong := range []string{
		"select count(*) from users where state = 'pending'",
		"select count(*) - count(distinct tenant_id) from users where state = 'active'",
		"select count(*) from signups where status = 'needs_operator'",
	} {
		if n, err := w.number(t.Context(), wrong); err != nil || n != 0 {
			t.Errorf("%s: %d, %v", wrong, n, err)
		}
	}
	w.usable(t)
}

// usable connects to every ready and spare tenant with its own role. A spare that is being replaced need not be
// usable.
func (w *world) usable(t *testing.T) {
	t.Helper()
	for _, database := range w.databases(t, "state in ('ready', 'spare')") {
		if err := w.enter(t, database); err != nil && slices.Contains(w.databases(t, "state in ('ready', 'spare')"), database) {
			t.Errorf("database %s: %v", database, err)
		}
	}
}

// enter writes into a tenant's database as its own role.
func (w *world) enter(t *testing.T, database string) error {
	t.Helper()
	id, err := tenant.ParseDatabase(database)
	if err != nil {
		return err
	}
	var rotation int
	if err := w.pool.QueryRow(t.Context(), "select password_rotation from tenants where id = $1", id.UUID()).Scan(&rotation); err != nil {
		return err
	}
	conn, err := pgx.Connect(t.Context(), w.server.URL(id, rotation).Reveal())
	if err != nil {
		return err
	}
	defer conn.Close(t.Context())
	_, err = conn.Exec(t.Context(), "begin; insert into lunch_weeks (starts_on) values ('2026-11-23'); rollback")
	return err
}

// databases returns the databases in the catalog.
func (w *world) databases(t *testing.T, where string) []string {
	t.Helper()
	rows, err := w.pool.Query(t.Context(), "select database from tenants where "+where)
	if err != nil {
		t.Fatal(err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// auditServer checks that the server has exactly the databases and roles of the catalogs.
func auditServer(t *testing.T, serverURL string, known map[string]bool) {
	t.Helper()
	conn := pgtest.Connect(t, serverURL)
	defer conn.Close(t.Context())
	for kind, sql := range map[string]string{
		"database": "select datname::text from pg_database where datname ~ '^t_[a-z2-7]{26}$'",
		"role":     "select rolname::text from pg_roles where rolname like 't\\_%'",
	} {
		rows, err := conn.Query(t.Context(), sql)
		if err != nil {
			t.Fatal(err)
		}
		names, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		there := map[string]bool{}
		for _, name := range names {
			there[name] = true
			if !known[name] {
				t.Errorf("%s %s has no row in a catalog", kind, name)
			}
		}
		for name := range known {
			if !there[name] {
				t.Errorf("%s %s is missing", kind, name)
			}
		}
	}
}

// slowCreate makes the next creation of a user slow, and returns a function that waits until it has begun.
func (w *world) slowCreate() (begun func(t *testing.T)) {
	w.auth0.Inject(flaky.Fault{Method: "POST", Path: "/api/v2/users", Kind: flaky.Slow, WorkFirst: true, Delay: 2 * time.Second})
	return func(t *testing.T) {
		eventually(t, "the create", func() (bool, error) { return len(w.auth0.Users()) == 1, nil })
	}
}
