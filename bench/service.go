package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"homeroom/internal/wait"
)

const (
	// serviceFiles is how many migrations the tenants of the running service have.
	serviceFiles = 20
	// serviceTurn is how many sign-ups one client makes in a turn: too few to make the refiller start.
	serviceTurn = 16
)

// service measures sign-ups at a running `homeroom serve`, compared with two bare commits on the same Postgres.
func service(ctx context.Context, b *testbed) (_ results, err error) {
	folder, err := b.copyMigrations()
	if err != nil {
		return results{}, err
	}
	r, err := startService(ctx, b, "catalog_of_service", folder, b.spares)
	if err != nil {
		return results{}, err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	s := &served{testbed: b, running: r}
	s.front = &httpFront{url: r.url + "/users", client: &http.Client{
		Transport: &http.Transport{MaxIdleConnsPerHost: mostClients}, Timeout: time.Minute,
	}}
	if err := s.makeFloor(ctx); err != nil {
		return results{}, err
	}
	b.logf("waiting for %d spares", b.spares)
	if err := b.withoutSync(ctx, s.full); err != nil {
		return results{}, err
	}
	counted, err := s.count(ctx)
	if err != nil {
		return results{}, err
	}
	all := s.variants()
	found, err := b.race(ctx, "SIGN-UPS AT THE RUNNING SERVICE", b.rounds, s.clean, all)
	if err == nil {
		found.verdicts = slices.Concat(judgeService(all), s.sideConditions(), counted)
	}
	return found, err
}

// served is the running service and what it is compared with.
type served struct {
	*testbed
	*running
	front    *httpFront
	template string
	// signups are the ids of the sign-ups of the single client, by variant, in order.
	signups map[string][]uuid.UUID
	// clones are how many databases the refiller started to create in each turn with sign-ups.
	clones []float64
	// built are the shares of sign-ups for which a database was created, in turns without spares.
	built []float64
	stop  func() error
	mark  time.Time
}

// variants are, in the order in which judgeService expects them: the two commits; sign-ups with spares; the two
// commits during clones; sign-ups while spares are refilled; and with many clients bare clones, and sign-ups without
// spares.
func (s *served) variants() []*variant {
	s.signups = map[string][]uuid.UUID{}
	one := max(min(serviceTurn, s.spares/4), 1)
	own := "  our own time of it"
	last := &variant{name: "sign-up while spares last", ownName: own, clients: 1, pieces: one, prepare: s.full}
	refill := &variant{
		name: "sign-up while the stock is refilled", ownName: own, clients: 1, pieces: one, prepare: s.full, start: s.refilling, rest: s.refilled,
	}
	for _, c := range []*variant{last, refill} {
		c.work = func(ctx context.Context) (time.Duration, error) { return 0, s.signUp(ctx, c.name) }
		c.settle = func(ctx context.Context) error { return s.settle(ctx, c) }
	}
	return []*variant{
		{name: "two bare commits of the same rows", clients: 1, pieces: 4 * one, prepare: s.full, work: s.twoCommits},
		last,
		{
			name: "two bare commits beside bare clones", clients: 1, pieces: 4 * one, prepare: s.full, start: s.cloning, rest: s.cloned,
			work: s.twoCommits,
		},
		refill,
		{name: "bare CREATE DATABASE … TEMPLATE …", clients: mostClients, pieces: s.testbed.signups, prepare: s.full, work: s.clone},
		{
			name: "sign-up with an empty stock", clients: mostClients, pieces: s.testbed.signups, prepare: s.full, start: s.empty, rest: s.emptied,
			work: func(ctx context.Context) (time.Duration, error) { return 0, s.signUp(ctx, "") },
		},
	}
}

func judgeService(all []*variant) []verdict {
	const floor, last, besideClones, refill, bare, built = 0, 1, 2, 3, 4, 5
	own := func(i int) float64 { return describe("", 0, all[i].own).Median }
	rate := func(i int) float64 { return median(all[i].rates) }
	verdicts := []verdict{
		atMost("running service: our own time over two bare commits, 1 client", own(last)/own(floor), "×", 3),
	}
	verdicts = append(verdicts, eachRound(all[last].ownByRound(), all[floor].ownByRound(), "×")...)
	verdicts = append(verdicts,
		atMost("  the same while the stock is refilled, over commits beside clones", own(refill)/own(besideClones), "×", 5))
	verdicts = append(verdicts, eachRound(all[refill].ownByRound(), all[besideClones].ownByRound(), "×")...)
	verdicts = append(verdicts,
		atLeast("  our own time while it is refilled over commits beside nothing", own(refill)/own(floor), "×", 0),
		atLeast("  with an empty stock, rate over bare clones', 8 clients", 100*rate(built)/rate(bare), "%", 90))
	return append(verdicts, eachRound(all[built].rates, all[bare].rates, "%")...)
}

// sideConditions are further numbers about the turns.
func (s *served) sideConditions() []verdict {
	return []verdict{
		atLeast("  databases that the refiller began during sign-ups", median(s.clones), "", 0),
		atLeast("  sign-ups without spares that created a database", 100*median(s.built), "%", 0),
	}
}

// copyMigrations creates a folder with the tenants' migrations, and adds more up to twenty.
func (b *testbed) copyMigrations() (string, error) {
	folder := filepath.Join(b.folder, "more_migrations")
	if err := os.CopyFS(folder, os.DirFS(b.migrations)); err != nil {
		return "", fmt.Errorf("copy migrations: %w", err)
	}
	there, err := filepath.Glob(filepath.Join(folder, "*.up.sql"))
	if err != nil {
		return "", err
	}
	for n := len(there) + 1; n <= serviceFiles; n++ {
		sql := fmt.Sprintf("create table extra_%d (id bigint generated always as identity primary key, text text not null, at timestamptz);\n"+
			"create index on extra_%d (at);\n", n, n)
		if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("%06d_extra.up.sql", n)), []byte(sql), 0o644); err != nil {
			return "", fmt.Errorf("write a migration: %w", err)
		}
	}
	return folder, os.Chmod(folder, 0o755)
}

// signUp signs a school up.
func (s *served) signUp(ctx context.Context, variant string) error {
	_, id, err := s.front.post(ctx)
	if err == nil && variant != "" {
		s.signups[variant] = append(s.signups[variant], id) // of one client
	}
	return err
}

// settle subtracts the identity provider's time: the service records when each step began.
func (s *served) settle(ctx context.Context, c *variant) error {
	ids := s.signups[c.name]
	for i, id := range ids[len(ids)-len(c.total):] {
		var text []byte
		if err := s.catalog.QueryRow(ctx, "select steps from signups where id = $1", id).Scan(&text); err != nil {
			return fmt.Errorf("read a sign-up: %w", err)
		}
		var steps []struct {
			Name      string
			StartedAt time.Time
		}
		if err := json.Unmarshal(text, &steps); err != nil {
			return fmt.Errorf("read a sign-up: %w", err)
		}
		for n, step := range steps[:len(steps)-1] {
			if step.Name == "identity" {
				c.own[i] -= steps[n+1].StartedAt.Sub(step.StartedAt)
			}
		}
	}
	return nil
}

// full makes all spares available, and waits until all exist and none is being created.
func (s *served) full(ctx context.Context) error {
	if err := s.hide(ctx, -1); err != nil {
		return err
	}
	return s.until(ctx, `select count(*) filter (where state = 'spare') >= $1 and count(*) filter (where state = 'building') = 0 from tenants`, s.spares)
}

// hide makes all spares but this number unavailable; a negative number makes all available.
func (s *served) hide(ctx context.Context, left int) error {
	sql := `update tenants set state = 'suspended', name = 'Hidden', slug = 'hidden-' || replace(database, '_', '-'), ` + stillClaimable + `
		where id in (select id from tenants where state = 'spare' order by created_at desc offset $1)`
	args := []any{left}
	if left < 0 {
		sql, args = `update tenants set state = 'spare', name = null, slug = null, `+stillClaimable+` where slug like 'hidden-%'`, nil
	}
	if _, err := s.catalog.Exec(ctx, sql, args...); err != nil {
		return fmt.Errorf("set the stock of spares: %w", err)
	}
	return nil
}

// stillClaimable makes a spare count as unclaimed although its row is changed here; see package catalog.
const stillClaimable = `claimable_xid = pg_current_xact_id()::xid`

// until waits for a condition.
func (s *served) until(ctx context.Context, sql string, args ...any) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	for {
		var there bool
		if err := s.catalog.QueryRow(ctx, sql, args...).Scan(&there); err != nil {
			return fmt.Errorf("wait for the service: %w", err)
		}
		if there {
			return nil
		}
		if wait.For(ctx, 50*time.Millisecond) != nil {
			return errors.New("the service does not reach the expected state in time")
		}
	}
}

// refilling reduces the spares so far that they are refilled during sign-ups, and waits until that has begun.
func (s *served) refilling(ctx context.Context) error {
	if err := s.hide(ctx, s.spares*3/8); err != nil {
		return err
	}
	if err := s.catalog.QueryRow(ctx, "select now()").Scan(&s.mark); err != nil {
		return err
	}
	if _, _, err := s.front.post(ctx); err != nil { // it wakes the refiller
		return err
	}
	if err := s.until(ctx, "select exists (select from tenants where state in ('building', 'spare') and created_at > $1)", s.mark); err != nil {
		return err
	}
	return s.catalog.QueryRow(ctx, "select clock_timestamp()").Scan(&s.mark)
}

func (s *served) refilled(ctx context.Context) error {
	var n float64
	err := s.catalog.QueryRow(ctx, "select count(*) from tenants where state in ('building', 'spare') and created_at > $1", s.mark).Scan(&n)
	s.clones = append(s.clones, n)
	return errors.Join(err, s.hide(ctx, -1))
}

// empty makes all spares unavailable.
func (s *served) empty(ctx context.Context) error {
	err := s.hide(ctx, 0)
	return errors.Join(err, s.catalog.QueryRow(ctx, "select now()").Scan(&s.mark))
}

func (s *served) emptied(ctx context.Context) error {
	var share float64
	err := s.catalog.QueryRow(ctx, `
		select avg((steps @> '[{"name": "provision"}]')::int)::float8 from signups where created_at >= $1`, s.mark).Scan(&share)
	s.built = append(s.built, share)
	return errors.Join(err, s.hide(ctx, -1))
}

// cloning creates bare clones, one after the other, until cloned is called.
func (s *served) cloning(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var group errgroup.Group
	var first sync.WaitGroup
	first.Add(1)
	group.Go(func() error {
		for n := 0; ; n++ {
			_, err := s.clone(context.WithoutCancel(ctx))
			if n == 0 {
				first.Done()
			}
			if err != nil || ctx.Err() != nil {
				return err
			}
		}
	})
	first.Wait()
	s.stop = func() error { cancel(); return group.Wait() }
	return nil
}

func (s *served) cloned(context.Context) error { return s.stop() }

// clone creates one bare clone of the service's template.
func (s *served) clone(ctx context.Context) (time.Duration, error) {
	_, err := s.admin.Exec(ctx, "create database bare_"+strings.ToLower(strings.ReplaceAll(uuid.NewString(), "-", ""))+
		" template "+pgx.Identifier{s.template}.Sanitize())
	return 0, err
}

// clean drops the bare clones of the previous round.
func (s *served) clean(ctx context.Context) error {
	made, err := s.databases(ctx, "^bare_")
	if err != nil {
		return err
	}
	return s.drop(ctx, made)
}
