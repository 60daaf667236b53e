package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"homeroom/admission"
	"homeroom/auth0"
	"homeroom/auth0/auth0test"
	"homeroom/catalog"
	"homeroom/fleet"
	"homeroom/internal/devpg"
	"homeroom/internal/httpapi"
	"homeroom/internal/logtest"
	"homeroom/internal/pgtest"
	"homeroom/internal/secret"
	"homeroom/internal/web"
	"homeroom/messages"
	"homeroom/migrations"
	"homeroom/signup"
	"homeroom/tenant"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

var key = bytes.Repeat([]byte{9}, 32)

// options change what setup builds; the zero value is a service with one spare and no limits.
type options struct {
	noSpare bool
	// migrations are the tenants'. Defaults to the ones that are built in.
	migrations *migrations.Set
	// postgres, when set, holds the catalog and the tenants instead of the server that all tests share.
	postgres *devpg.Server
	wait     time.Duration
	api      func(*config)
	signup   func(*signup.Config)
	// server serves the API instead of a plain test server.
	server func(http.Handler) *http.Server
}

// world is a whole service: catalog, tenants, identity provider and API, on real Postgres and real HTTP.
type world struct {
	t       *testing.T
	url     string
	config  config
	handler http.Handler
	auth0   *auth0test.Server
	catalog *catalog.Store
	signup  *signup.Service
	server  *tenant.Server
	fleet   *fleet.Fleet
	queue   *queue
	log     *logtest.Buffer
}

func setup(t *testing.T, o options) *world {
	t.Helper()
	w := &world{t: t, auth0: auth0test.Start(t, auth0test.Config{}), queue: &queue{}, log: &logtest.Buffer{}}
	postgres := o.postgres
	if postgres == nil {
		postgres = pgtest.Server(t)
	}
	w.openCatalog(o.postgres)
	logger := slog.New(slog.NewJSONHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))

	servers := w.openServers(postgres, o.migrations, logger)
	check(t, w.catalog.RegisterServers(t.Context(), servers.Names()))

	cfg := w.auth0.Config()
	provider, err := auth0.New(auth0.Config{
		BaseURL: w.auth0.URL(), ClientID: cfg.ClientID, ClientSecret: secret.String(cfg.ClientSecret), Logger: logger,
		Timeout: 2 * time.Second,
	})
	check(t, err)
	spares := 1
	if o.noSpare {
		spares = 0
	}
	rules := signup.Config{
		Catalog: w.catalog, Servers: signup.TenantServers(servers), Identity: provider, Queue: w.queue, Key: key, Spares: spares, ResponseTimeout: o.wait,
		Logger: logger,
	}
	if o.signup != nil {
		o.signup(&rules)
	}
	w.signup, err = signup.New(rules)
	check(t, err)
	check(t, w.signup.RefillSpares(t.Context()))
	pools, err := tenant.NewPools(tenant.PoolsConfig{})
	check(t, err)
	t.Cleanup(pools.Close)

	texts, err := messages.New(messages.Config{})
	check(t, err)
	w.config = config{Config: httpapi.Config{
		Signup: w.signup, Catalog: w.catalog, Fleet: w.fleet, Servers: servers, Queue: w.queue, Pools: pools, Webhooks: newWebhooks(t, w.catalog, logger),
		Issuer: w.auth0.URL() + "/", Audience: cfg.Audience, Logger: logger, PollEvery: 20 * time.Millisecond, Texts: texts,
	}, admission: admission.Config{Signup: w.signup, Catalog: w.catalog, Logger: logger}, pages: web.Config{Signup: w.signup, Catalog: w.catalog}}
	if o.api != nil {
		o.api(&w.config)
	}
	w.handler, err = w.config.handler()
	check(t, err)
	w.serve(o)
	return w
}

// config is the configuration of the API and of what is made for it.
type config struct {
	httpapi.Config
	admission admission.Config
	pages     web.Config
}

func (c config) handler() (http.Handler, error) {
	admits, err := admission.New(c.admission)
	if err != nil {
		return nil, err
	}
	c.Admission, c.pages.Admission, c.pages.Texts, c.pages.Hosted, c.pages.OAuth = admits, admits, c.Texts, c.Hosted, c.OAuth
	pages, err := web.New(c.pages)
	if err != nil {
		return nil, err
	}
	c.Pages = pages.Register
	return httpapi.New(c.Config)
}

// openServers connects to the only server as a program with these migrations does, and makes its fleet.
func (w *world) openServers(postgres *devpg.Server, set *migrations.Set, logger *slog.Logger) tenant.Servers {
	w.t.Helper()
	server, err := tenant.Open(tenant.Config{
		URL: secret.String(postgres.URL("postgres")), Key: key, Migrations: set, MigrateLockTimeout: 50 * time.Millisecond, Logger: logger,
	})
	check(w.t, err)
	w.t.Cleanup(server.Close)
	w.server = server
	servers := tenant.Servers{"main": server}
	w.fleet, err = fleet.New(fleet.Config{Catalog: w.catalog, Servers: fleet.OnServers(servers), Concurrency: 4, Logger: logger})
	check(w.t, err)
	return servers
}

func (w *world) serve(o options) {
	ts := httptest.NewUnstartedServer(w.handler)
	if o.server != nil {
		ts.Config = o.server(w.handler)
	}
	ts.Start()
	w.t.Cleanup(ts.Close)
	w.url = ts.URL
}

// openCatalog gives the test a registry of its own, a copy of one that is migrated once per process.
func (w *world) openCatalog(private *devpg.Server) {
	w.t.Helper()
	var url string
	if private != nil {
		url = private.URL("catalog")
	} else {
		url = pgtest.Clone(w.t, "catalog", func(ctx context.Context, url string) error {
			store, err := catalog.Open(ctx, catalog.Config{URL: url})
			if err == nil {
				store.Close()
			}
			return err
		})
	}
	store, err := catalog.Open(w.t.Context(), catalog.Config{URL: url})
	check(w.t, err)
	w.t.Cleanup(store.Close)
	w.catalog = store
}

// queue remembers what it is given; the test decides when the work is done.
type queue struct {
	mu   sync.Mutex
	jobs []func(context.Context, *signup.Service) error
}

func (q *queue) ReprovisionTx(_ context.Context, _ pgx.Tx, id uuid.UUID, kept string) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.jobs = append(q.jobs, func(ctx context.Context, s *signup.Service) error { return s.RunReprovision(ctx, id, kept) })
	return nil
}

func (q *queue) run(ctx context.Context, s *signup.Service) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, job := range q.jobs {
		if err := job(ctx, s); err != nil {
			return err
		}
	}
	q.jobs = nil
	return nil
}

// reply is an answer, read.
type reply struct {
	Status int
	Header http.Header
	Body   string
}

// json reads the answer's body.
func (r reply) json(t *testing.T) map[string]any {
	t.Helper()
	var body map[string]any
	check(t, json.Unmarshal([]byte(r.Body), &body))
	return body
}

// code is that of a problem.
func (r reply) code(t *testing.T) string {
	t.Helper()
	code, _ := r.json(t)["code"].(string)
	return code
}

// call sends a request. Headers are "Name: value"; an empty value takes one away.
func (w *world) call(method, path, body string, headers ...string) reply {
	w.t.Helper()
	r, err := w.try(method, path, strings.NewReader(body), headers...)
	check(w.t, err)
	return r
}

func (w *world) try(method, path string, body io.Reader, headers ...string) (reply, error) {
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.url+path, body)
	if err != nil {
		return reply{}, err
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ":")
		req.Header.Del(name)
		if value = strings.TrimSpace(value); value != "" {
			req.Header.Set(name, value)
		}
	}
	res, err := client.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return reply{res.StatusCode, res.Header, string(text)}, err
}

// read reads an answer.
func read(t *testing.T, res *http.Response) reply {
	t.Helper()
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	check(t, err)
	return reply{res.StatusCode, res.Header, string(text)}
}

var client = &http.Client{
	Timeout:       30 * time.Second,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// bearer is the header with a token that has these permissions.
func (w *world) bearer(permissions ...string) string {
	if permissions == nil {
		permissions = []string{}
	}
	return "Authorization: Bearer " + w.auth0.IssueToken(auth0test.TokenRequest{Permissions: permissions})
}

const password = "Canary-Chalk-42"

// form is the body of a sign-up.
func form(email, school string) string {
	text, _ := json.Marshal(map[string]string{"email": email, "password": password, "schoolName": school})
	return string(text)
}

// signUp signs a school up and returns the answer's body.
func (w *world) signUp(email, school string) signup.Result {
	w.t.Helper()
	r := w.call("POST", "/users", form(email, school))
	equal(w.t, http.StatusCreated, r.Status, r.Body)
	var result signup.Result
	check(w.t, json.Unmarshal([]byte(r.Body), &result))
	return result
}
