//go:build soak

package main

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"homeroom/internal/devpg"
	"homeroom/internal/pgtest"
)

// soakWorld is a world in which everything fails, again and again.
type soakWorld struct {
	*world
	y        *tally
	postgres *devpg.Server
	proxies  map[string]*proxy
	dir      string
	clients  *clientPool

	mu sync.Mutex
	// process is the one that answers, or the last that did.
	process *process
	version int
	// schools are the slugs of the ready ones. waits are the times that interrupted sign-ups took.
	schools []string
	waits   []time.Duration
}

// sagaWorlds is how many worlds of sign-ups there are. Each needs a Postgres that is fast enough.
const sagaWorlds = 4

// sagas signs schools up under faults, at least as many as configured and until the time is over, and then without
// faults.
func sagas(t *testing.T, until time.Time) {
	begin := time.Now()
	y := newTally("sign-ups", "kills", "Postgres crashes", "network faults", "provider faults", "re-provisionings", "fresh re-provisionings",
		"migrations added", "hostile sessions", "rotations", "lost", "duplicate", "orphan", "findings", "wrong answers", "unhealthy")
	var mu sync.Mutex
	var waits []time.Duration
	t.Run("sagas", func(t *testing.T) {
		for n := range sagaWorlds {
			t.Run(fmt.Sprint(n), func(t *testing.T) {
				t.Parallel()
				s := newSoakWorld(t, y, n)
				s.runLoad(t, newRand(n), *soakSagas/sagaWorlds, until)
				s.runUntilIdle(t)
				s.check(t)
				mu.Lock()
				defer mu.Unlock()
				waits = append(waits, s.waits...)
			})
		}
	})
	slices.Sort(waits)
	y.print(fmt.Sprintf("sign-ups under faults, in %s", time.Since(begin).Round(time.Second)))
	fmt.Printf("  %-32s p50 %s, p99 %s, longest %s, of %d\n", "from the first cut to the school",
		percentile(waits, 0.5), percentile(waits, 0.99), percentile(waits, 1), len(waits))
	if len(y.failures) > 0 {
		t.Fail()
	}
}

func newSoakWorld(t *testing.T, y *tally, n int) *soakWorld {
	t.Helper()
	postgres := pgtest.Private(t, nil)
	s := &soakWorld{world: newWorld(t, postgres.URL("catalog"), postgres.URL("postgres"), 3), y: y, postgres: postgres, dir: t.TempDir()}
	s.timeScale = *soakTimeScale
	s.proxies = s.withProxies(t)
	s.args = []string{"--migrate"}
	s.env = append(s.env, "HOMEROOM_TENANT_MIGRATIONS="+s.dir)
	s.clients = newClientPool(s.url)
	files, err := filepath.Glob("../../migrations/tenant/*.sql")
	if err != nil || len(files) == 0 {
		t.Fatalf("no migrations: %v", err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		s.write(t, filepath.Base(file), string(content))
		s.version = max(s.version, versionOf(t, file))
	}
	return s
}

func versionOf(t *testing.T, file string) (version int) {
	t.Helper()
	if _, err := fmt.Sscanf(filepath.Base(file), "%d_", &version); err != nil {
		t.Fatal(err)
	}
	return version
}

// write adds a file atomically, so that no process reads a part of it.
func (s *soakWorld) write(t *testing.T, name, content string) {
	t.Helper()
	draft := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(draft, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(draft, filepath.Join(s.dir, name)); err != nil {
		t.Fatal(err)
	}
}

func (s *soakWorld) url() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil || s.process.url == "" {
		return "http://127.0.0.1:1" // nobody
	}
	return s.process.url
}

// runLoad signs schools up while everything fails, until enough are ready and the time is over.
func (s *soakWorld) runLoad(t *testing.T, random *rand.Rand, schools int, until time.Time) {
	t.Helper()
	ctx, calm := context.WithCancel(t.Context())
	var disturbances, clients sync.WaitGroup
	for _, happens := range []func(context.Context, *testing.T, *rand.Rand){s.killRepeatedly, s.crashes, s.network, s.operators, s.releases, s.attackers} {
		own := rand.New(rand.NewPCG(random.Uint64(), random.Uint64()))
		disturbances.Go(func() { happens(ctx, t, own) })
	}
	var mu sync.Mutex
	n := 0
	next := func() (school, bool) {
		mu.Lock()
		defer mu.Unlock()
		if n >= schools && time.Now().After(until) {
			return school{}, false
		}
		n++
		return newSchool(n), true
	}
	for range 6 {
		clients.Go(func() {
			for school, more := next(); more; school, more = next() {
				s.signUp(t.Context(), school)
			}
		})
	}
	clients.Wait()
	calm()
	disturbances.Wait()
}

// signUp repeats a sign-up until the school is ready.
func (s *soakWorld) signUp(ctx context.Context, school school) {
	s.y.add("sign-ups", 1)
	var cut time.Time
	for ctx.Err() == nil {
		status, body, err := school.post(ctx, s.url())
		if wrong := s.clients.note(school, status, body, err); wrong != nil {
			s.y.fail("wrong answers", "%v", wrong)
			if status != http.StatusInternalServerError {
				return
			}
		}
		if err == nil && status == http.StatusCreated {
			break
		}
		if cut.IsZero() {
			cut = time.Now()
		}
		pauseFor(ctx, 100+rand.IntN(200))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !cut.IsZero() {
		s.waits = append(s.waits, time.Since(cut))
	}
	s.schools = append(s.schools, school.Email)
}

// killRepeatedly kills the process every 1 to 5 seconds, and starts another. The last one stays.
func (s *soakWorld) killRepeatedly(ctx context.Context, t *testing.T, random *rand.Rand) {
	path, err := binary()
	if err != nil {
		t.Error(err)
		return
	}
	for ctx.Err() == nil {
		p := s.launch(t, path)
		select {
		case p.url = <-p.serving:
		case <-p.done: // what it needs was not available
			s.y.add("starts in vain", 1)
			pauseFor(ctx, 200)
			continue
		case <-ctx.Done():
		}
		s.mu.Lock()
		s.process = p
		s.mu.Unlock()
		life, end := context.WithTimeout(ctx, time.Duration(1000+random.IntN(4000))*time.Millisecond)
		select {
		case <-life.Done():
		case <-p.done:
			s.y.fail("unhealthy", "the process ended by itself: %s", tail(p.logs.String()))
		}
		end()
		p.kill()
		s.y.add("kills", 1)
	}
}

// tail is the end of a log.
func tail(text string) string { return text[max(0, len(text)-2000):] }

// crashes makes Postgres crash every 5 to 40 seconds.
func (s *soakWorld) crashes(ctx context.Context, t *testing.T, random *rand.Rand) {
	for {
		pauseFor(ctx, 5000+random.IntN(35000))
		if ctx.Err() != nil {
			return
		}
		if err := s.postgres.Restart(context.WithoutCancel(ctx), devpg.Immediate); err != nil {
			t.Error(err)
		}
		s.y.add("Postgres crashes", 1)
	}
}

// network makes a proxy or the provider fail, for up to a second and a half.
func (s *soakWorld) network(ctx context.Context, t *testing.T, random *rand.Rand) {
	targets, faults := slices.Sorted(maps.Keys(s.proxies)), slices.Sorted(maps.Keys(networkFaults))
	for {
		pauseFor(ctx, 1000+random.IntN(3000))
		if ctx.Err() != nil {
			return
		}
		var repair func()
		if random.IntN(3) == 0 {
			s.auth0.Inject(answered[random.IntN(len(answered))])
			repair = s.auth0.ClearFaults
			s.y.add("provider faults", 1)
		} else {
			target, fault := targets[random.IntN(len(targets))], faults[random.IntN(len(faults))]
			repair = s.proxies[target].begin(t, networkFaults[fault])
			s.y.add("network faults", 1)
			s.y.add("network: "+fault, 1)
		}
		pauseFor(ctx, 200+random.IntN(1300))
		repair()
	}
}

// operators re-provision schools, sometimes with a new database.
func (s *soakWorld) operators(ctx context.Context, _ *testing.T, random *rand.Rand) {
	for {
		pauseFor(ctx, 500+random.IntN(2500))
		if ctx.Err() != nil {
			return
		}
		var slug string
		err := s.pool.QueryRow(ctx, "select slug from tenants where state in ('ready', 'quarantined') order by random() limit 1").Scan(&slug)
		if err != nil {
			continue
		}
		body, kind := `{}`, "re-provisionings"
		if random.IntN(4) == 0 {
			body, kind = fmt.Sprintf(`{"fresh":true,"confirm":%q}`, slug), "fresh re-provisionings"
		}
		status, text, err := s.operator(ctx, s.url(), http.MethodPost, "/tenants/"+slug+"/reprovision", body)
		switch {
		case err != nil:
		case status == http.StatusAccepted:
			s.y.add(kind, 1)
		case status != http.StatusServiceUnavailable && status != http.StatusConflict:
			s.y.fail("wrong answers", "re-provision: %d %s", status, text)
		}
	}
}

// releases adds a migration from time to time, which the next process starts to apply to all schools.
func (s *soakWorld) releases(ctx context.Context, t *testing.T, random *rand.Rand) {
	for {
		pauseFor(ctx, 10000+random.IntN(20000))
		if ctx.Err() != nil {
			return
		}
		s.version++
		sql := fmt.Sprintf("create table soaked_%d (id int primary key);", s.version)
		if random.IntN(3) == 0 {
			sql = fmt.Sprintf("-- no-transaction\ncreate index concurrently soaked_%d on lunch_weeks (starts_on)", s.version)
		}
		s.write(t, fmt.Sprintf("%06d_soaked.up.sql", s.version), sql)
		s.y.add("migrations added", 1)
	}
}
