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
	wires    map[string]*wire
	dir      string
	crowd    *crowd

	mu sync.Mutex
	// process is the one that serves, or the last that did.
	process *process
	version int
	// schools are the slugs of those that are ready. waits are how long sign-ups took that were cut off.
	schools []string
	waits   []time.Duration
}

// sagaWorlds is how many worlds of sign-ups there are: each has a Postgres that must keep up.
const sagaWorlds = 4

// sagas signs schools up in storms, at least as many as asked for and until the time is up, and then lets the sun shine.
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
	y.print(fmt.Sprintf("sign-ups in a storm, in %s", time.Since(begin).Round(time.Second)))
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
	s.haste = *soakHaste
	s.wires = s.wired(t)
	s.args = []string{"--migrate"}
	s.env = append(s.env, "HOMEROOM_TENANT_MIGRATIONS="+s.dir)
	s.crowd = newCrowd(s.url)
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

// write adds a file so that no process sees half of it.
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

// runLoad has schools sign up while everything fails, until so many are ready and the time is up.
func (s *soakWorld) runLoad(t *testing.T, random *rand.Rand, schools int, until time.Time) {
	t.Helper()
	ctx, calm := context.WithCancel(t.Context())
	var weather, clients sync.WaitGroup
	for _, happens := range []func(context.Context, *testing.T, *rand.Rand){s.kills, s.crashes, s.network, s.operators, s.releases, s.attackers} {
		own := rand.New(rand.NewPCG(random.Uint64(), random.Uint64()))
		weather.Go(func() { happens(ctx, t, own) })
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
	weather.Wait()
}

// signUp repeats a sign-up until the school is ready.
func (s *soakWorld) signUp(ctx context.Context, school school) {
	s.y.add("sign-ups", 1)
	var cut time.Time
	for ctx.Err() == nil {
		status, body, err := school.post(ctx, s.url())
		if wrong := s.crowd.note(school, status, body, err); wrong != nil {
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

// kills has the process die every 1 to 5 seconds, and another take its place. The last one stays.
func (s *soakWorld) kills(ctx context.Context, t *testing.T, random *rand.Rand) {
	path, err := binary()
	if err != nil {
		t.Error(err)
		return
	}
	for ctx.Err() == nil {
		p := s.launch(t, path)
		select {
		case p.url = <-p.serving:
		case <-p.done: // what it needs was not there
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

// crashes has Postgres crash every 5 to 40 seconds.
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

// network has a wire or the provider fail, for up to a second and a half.
func (s *soakWorld) network(ctx context.Context, t *testing.T, random *rand.Rand) {
	targets, faults := slices.Sorted(maps.Keys(s.wires)), slices.Sorted(maps.Keys(wireFaults))
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
			repair = s.wires[target].begin(t, wireFaults[fault])
			s.y.add("network faults", 1)
			s.y.add("network: "+fault, 1)
		}
		pauseFor(ctx, 200+random.IntN(1300))
		repair()
	}
}

// operators re-provision schools, now and then with a new database.
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

// releases adds a migration now and then, which the next process begins to bring to all schools.
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
