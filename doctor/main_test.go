package doctor_test

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"homeroom/auth0"
	"homeroom/auth0/auth0test"
	"homeroom/catalog"
	"homeroom/doctor"
	"homeroom/internal/devpg"
	"homeroom/internal/jobs"
	"homeroom/internal/pgtest"
	"homeroom/internal/secret"
	"homeroom/signup"
	"homeroom/tenant"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// key is not a real key, and does not look like an example: the program refuses examples.
var key = func() []byte { sum := sha256.Sum256([]byte("the doctor's tests")); return sum[:] }()

// serverWarnings are warnings that a test server may have.
var serverWarnings = []string{
	tenant.WarnSuperuser, tenant.WarnCreateRole, tenant.WarnNoSignal, tenant.WarnPublicConnect, tenant.WarnRecovery,
	tenant.WarnConnections, tenant.WarnClock, tenant.WarnDiskLow, tenant.WarnDiskUnknown,
}

// world is a service with its own server, because the doctor examines all of it.
type world struct {
	*testing.T
	postgres *devpg.Server
	catalog  *catalog.Store
	server   *tenant.Server
	auth0    *auth0test.Server
	client   *auth0.Client
	queue    *jobs.Queue
	service  *signup.Service
	doctor   *doctor.Doctor
	config   doctor.Config
}

// setup creates a world with this many spares in stock.
func setup(t *testing.T, spares int, change ...func(*auth0.Config)) *world {
	t.Helper()
	w := &world{T: t, postgres: pgtest.Private(t, nil), auth0: auth0test.Start(t, auth0test.Config{})}
	var err error
	if w.catalog, err = catalog.Open(t.Context(), catalog.Config{URL: w.postgres.URL("catalog")}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.catalog.Close)
	if err := jobs.Migrate(t.Context(), w.catalog.Pool()); err != nil {
		t.Fatal(err)
	}
	if w.server, err = tenant.Open(tenant.Config{URL: secret.String(w.postgres.URL("postgres")), Key: key}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.server.Close)
	if err := w.catalog.RegisterServers(t.Context(), []string{"main"}); err != nil {
		t.Fatal(err)
	}
	w.client = w.newClient(change...)
	if w.queue, err = jobs.NewQueue(w.catalog.Pool()); err != nil {
		t.Fatal(err)
	}
	w.service = w.newService(func(c *signup.Config) { c.Spares = spares })
	w.refillSpares()
	w.remember()
	w.config = doctor.Config{
		Catalog: w.catalog, Servers: tenant.Servers{"main": w.server}, Identity: w.client, Jobs: w.jobs, CancelJob: w.queue.Cancel,
		Reconcile: w.service.ReconcileOnce, Resume: resumer(w.service), Tolerate: serverWarnings, Pause: time.Millisecond,
	}
	w.doctor = w.newDoctor(w.config)
	return w
}

func (w *world) newClient(change ...func(*auth0.Config)) *auth0.Client {
	w.Helper()
	cfg := auth0.Config{BaseURL: w.auth0.URL(), ClientID: "homeroom-dev", ClientSecret: "homeroom-dev-secret"}
	for _, f := range change {
		f(&cfg)
	}
	client, err := auth0.New(cfg)
	if err != nil {
		w.Fatal(err)
	}
	return client
}

// newService is another process on the same catalog, with other rules.
func (w *world) newService(change func(*signup.Config)) *signup.Service {
	w.Helper()
	cfg := signup.Config{
		Catalog: w.catalog, Servers: signup.TenantServers(tenant.Servers{"main": w.server}), Identity: w.client, Queue: w.queue, Key: key,
		Logger: slog.New(slog.DiscardHandler),
	}
	change(&cfg)
	service, err := signup.New(cfg)
	if err != nil {
		w.Fatal(err)
	}
	return service
}

func (w *world) newDoctor(cfg doctor.Config) *doctor.Doctor {
	w.Helper()
	d, err := doctor.New(cfg)
	if err != nil {
		w.Fatal(err)
	}
	return d
}

// remember records the newest schema, as a fleet run does.
func (w *world) remember() {
	w.Helper()
	schema, err := w.server.Reference(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	set := w.server.Migrations()
	err = w.catalog.SetReference(w.Context(), catalog.Reference{
		Lineage: set.Lineage(), Version: set.Latest(), Fingerprint: schema.Fingerprint(), Lines: schema,
	})
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) jobs(ctx context.Context) ([]doctor.Job, error) {
	unfinished, err := jobs.ListUnfinished(ctx, w.catalog.Pool())
	list := make([]doctor.Job, len(unfinished))
	for i, job := range unfinished {
		list[i] = doctor.Job(job)
	}
	return list, err
}

// refillSpares builds the missing spares.
func (w *world) refillSpares() {
	w.Helper()
	if err := w.service.RefillSpares(w.Context()); err != nil {
		w.Fatal(err)
	}
}

// school signs up a school and refills the stock.
func (w *world) school() *signup.Result {
	w.Helper()
	return w.begin(request())
}

// begin signs up, which must succeed at once, and refills the stock.
func (w *world) begin(req signup.Request) *signup.Result {
	w.Helper()
	outcome, err := w.service.Begin(w.Context(), req)
	if err != nil || outcome.Result == nil {
		w.Fatalf("%+v, %v", outcome, err)
	}
	w.refillSpares()
	return outcome.Result
}

func request() signup.Request {
	return signup.Request{
		Email: "ada-" + uuid.NewString() + "@lincoln.example", Password: "Correct-Horse-9", SchoolName: "Lincoln High", IdempotencyKey: uuid.NewString(),
	}
}

// sql runs statements in the catalog.
func (w *world) sql(statement string, args ...any) {
	w.Helper()
	if _, err := w.catalog.Pool().Exec(w.Context(), statement, args...); err != nil {
		w.Fatalf("%s: %v", statement, err)
	}
}

// value reads one value of the catalog.
func value[T any](w *world, statement string, args ...any) (v T) {
	w.Helper()
	if err := w.catalog.Pool().QueryRow(w.Context(), statement, args...).Scan(&v); err != nil {
		w.Fatalf("%s: %v", statement, err)
	}
	return v
}

// superuser runs statements as a superuser in a database of the server, one at a time.
func (w *world) superuser(database string, statements ...string) {
	w.Helper()
	pgtest.Exec(w, w.postgres.URL(database), statements...)
}

// examine examines everything.
func (w *world) examine() doctor.Report {
	w.Helper()
	report, err := w.doctor.Examine(w.Context(), doctor.Options{Open: doctor.All})
	if err != nil {
		w.Fatal(err)
	}
	return report
}

// codes are the codes of the findings, sorted.
func codes(report doctor.Report) string {
	var list []string
	for _, f := range report.Findings {
		list = append(list, string(f.Code))
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

func describe(report doctor.Report) string {
	var text strings.Builder
	for _, f := range report.Findings {
		fmt.Fprintf(&text, "\n%s %s on %q: %s; fix: %q", f.Severity, f.Code, f.Subject, f.Detail, f.Fix)
	}
	for _, skipped := range report.Skipped {
		fmt.Fprintf(&text, "\nskipped: %s", skipped)
	}
	return text.String()
}

// finds checks that exactly these codes are found.
func (w *world) finds(want string) doctor.Report {
	w.Helper()
	report := w.examine()
	if codes(report) != want {
		w.Fatalf("found %q, want %q:%s", codes(report), want, describe(report))
	}
	return report
}

// fix repairs what was found.
func (w *world) fix(report doctor.Report) {
	w.Helper()
	_, err := w.doctor.Fix(w.Context(), report, func(f doctor.Finding, err error) {
		if err != nil {
			w.Errorf("%s on %s: %s: %v", f.Code, f.Subject, f.Fix, err)
		}
	})
	if err != nil {
		w.Fatal(err)
	}
}

// usable connects to a tenant's database with its own role, and writes.
func (w *world) usable(database string) {
	w.Helper()
	id, err := tenant.ParseDatabase(database)
	if err != nil {
		w.Fatal(err)
	}
	pgtest.Exec(w, w.server.URL(id, 0).Reveal(), "insert into lunch_weeks (starts_on) values ('2026-11-23') on conflict do nothing")
}

// resumer resumes sign-ups, as the command does.
func resumer(service *signup.Service) func(context.Context, uuid.UUID) error {
	return func(ctx context.Context, id uuid.UUID) error {
		resolved, err := service.ResolveFinish(ctx, id, catalog.Actor{Name: "homeroom doctor"})
		return cmp.Or(err, resolved.Cause)
	}
}
