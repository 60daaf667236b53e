package signup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"homeroom/catalog"
	"homeroom/internal/killpoint"
	"homeroom/internal/wait"
	"homeroom/tenant"
)

var (
	// refillInterval is how often the refiller checks the stock of spares when none is claimed.
	refillInterval = killpoint.ScaleTime(10 * time.Second)
	// claimDebounce is how long after a claim the refiller checks the stock: claims within this time cause one check.
	claimDebounce = killpoint.ScaleTime(100 * time.Millisecond)
	// quietPeriod is how long nobody must have signed up before a spare is built, as long as there are enough: a clone
	// uses the disk, for which every sign-up waits twice.
	quietPeriod = killpoint.ScaleTime(400 * time.Millisecond)
)

// refillConcurrency is how many spares RefillSpares builds at the same time.
const refillConcurrency = 2

// RunRefiller refills the stock of spares on every server, until ctx ends. Every process runs it; on each server one
// process at a time builds, one spare after the other. Sign-ups have priority: while people sign up it builds nothing,
// unless less than half of the stock is left, and while several sign-ups wait for databases of their own it builds
// nothing at all.
func (s *Service) RunRefiller(ctx context.Context) error {
	var keepers errgroup.Group // one goroutine for each server: a server that does not answer does not delay the others
	for _, name := range s.cfg.Servers.Names() {
		keepers.Go(func() error { s.runServerRefiller(ctx, name); return nil })
	}
	return keepers.Wait()
}

func (s *Service) runServerRefiller(ctx context.Context, name string) {
	for {
		next, err := s.refill(ctx, name)
		if err != nil && ctx.Err() == nil {
			s.cfg.Logger.Error("fill the stock of spares", "server", name, "error", err)
		}
		if next >= refillInterval {
			next = s.waitForClaim(ctx, name, next)
		}
		if wait.For(ctx, next) != nil {
			return
		}
	}
}

// waitForClaim waits until a spare is claimed, or for this time at most. It returns how long to wait then, because more
// spares may be claimed at the same moment.
func (s *Service) waitForClaim(ctx context.Context, server string, wait time.Duration) time.Duration {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return 0
	case <-timer.C:
		return 0
	case <-s.wake[server]:
		return claimDebounce
	}
}

// newWakeChannels returns the channels that wake the refillers of these servers.
func newWakeChannels(servers []string) map[string]chan struct{} {
	all := map[string]chan struct{}{}
	for _, name := range servers {
		all[name] = make(chan struct{}, 1)
	}
	return all
}

// wakeRefiller informs RunRefiller of this process that a spare of the server was claimed, or that a database for a
// school has been built.
func (s *Service) wakeRefiller(server string) {
	select {
	case s.wake[server] <- struct{}{}:
	default: // it is informed already, or the server is not configured here
	}
}

// refill builds the missing spares of a server, one after the other, and then discards those that cannot be claimed,
// until nothing is left to do or sign-ups have priority. It returns how long to wait before the next check.
func (s *Service) refill(ctx context.Context, name string) (time.Duration, error) {
	server, err := s.cfg.Servers.Get(name)
	if err != nil {
		return refillInterval, err
	}
	for ctx.Err() == nil {
		stock, err := s.stock(ctx, server)
		if err != nil {
			return refillInterval, err
		}
		wait := s.refillDelay(stock)
		if wait > 0 && wait < refillInterval {
			return wait, nil
		}
		if closed, err := s.closeIfDiskLow(ctx, server); closed || err != nil {
			return refillInterval, err
		}
		if s.missing(stock) == 0 && stock.Discardable == 0 {
			return refillInterval, nil
		}
		more := false
		_, err = s.withRefillLock(ctx, server, func(ctx context.Context) (err error) {
			more, err = s.refillNext(ctx, server)
			return err
		})
		if err != nil || !more { // another process refills, or nothing can be done
			return refillInterval, err
		}
	}
	return 0, nil
}

// withRefillLock runs f unless another process refills the stock of the server.
func (s *Service) withRefillLock(ctx context.Context, server Server, f func(ctx context.Context) error) (bool, error) {
	return s.cfg.Catalog.Exclusive(ctx, "spares of server "+server.Name(), f)
}

func (s *Service) stock(ctx context.Context, server Server) (catalog.Stock, error) {
	schema := server.Migrations()
	return s.cfg.Catalog.Stock(ctx, server.Name(), schema.Lineage(), schema.Latest())
}

// missing returns how many spares must be built. If more spares than the stock were begun lately and could neither be
// completed nor discarded, something is wrong with the server, and no more are begun for a while.
func (s *Service) missing(stock catalog.Stock) int {
	if stock.Begun > s.cfg.Spares {
		return 0
	}
	return max(s.cfg.Spares-stock.Ready, 0)
}

// refillDelay returns how long to wait before the stock is refilled; zero means now.
func (s *Service) refillDelay(stock catalog.Stock) time.Duration {
	missing := s.missing(stock)
	enough := stock.Ready >= max(s.cfg.Spares/2, 1)
	switch {
	case missing == 0 && stock.Discardable == 0:
		return refillInterval
	case stock.Waiting > 1:
		return quietPeriod
	case (enough || missing == 0) && stock.SinceLastSignup < quietPeriod:
		return quietPeriod - stock.SinceLastSignup
	}
	return 0
}

// refillNext builds one missing spare, or else discards one, and reports whether it did. No other process builds there,
// so an unfinished spare was really abandoned.
func (s *Service) refillNext(ctx context.Context, server Server) (bool, error) {
	stock, err := s.stock(ctx, server)
	if err != nil {
		return false, err
	}
	if s.missing(stock) > 0 {
		var room int
		if room, err = s.cfg.Catalog.FreeCapacity(ctx, server.Name(), 1); room > 0 && err == nil {
			if err = s.buildSpare(ctx, server); err == nil {
				return true, nil
			}
		}
	}
	rows, listErr := s.cfg.Catalog.DiscardableSpares(ctx, server.Name(), server.Migrations().Lineage())
	for _, row := range rows {
		if s.discardSpare(ctx, server, row) {
			return true, err
		}
	}
	return false, errors.Join(err, listErr)
}

// RefillSpares builds all missing spares now, even while people sign up, unless another process refills.
func (s *Service) RefillSpares(ctx context.Context) error {
	var all error
	for _, name := range s.cfg.Servers.Names() {
		server, err := s.cfg.Servers.Get(name)
		if err == nil {
			_, err = s.withRefillLock(ctx, server, func(ctx context.Context) error { return s.refillServer(ctx, server) })
		}
		if err != nil {
			all = errors.Join(all, fmt.Errorf("server %s: %w", name, err))
		}
	}
	return all
}

// refillServer discards the spares that cannot be claimed, those whose builder died, and those from before a restore of
// the catalog. Then it builds the missing ones. If the server's disk is low it builds nothing, and no sign-up gets a
// database there until there is free space again.
func (s *Service) refillServer(ctx context.Context, server Server) error {
	if closed, err := s.closeIfDiskLow(ctx, server); closed || err != nil {
		return err
	}
	discardable, err := s.cfg.Catalog.DiscardableSpares(ctx, server.Name(), server.Migrations().Lineage())
	if err != nil {
		return err
	}
	for _, row := range discardable {
		s.discardSpare(ctx, server, row)
	}
	stock, err := s.stock(ctx, server)
	if err != nil {
		return err
	}
	missing := s.missing(stock)
	if missing > 0 {
		if missing, err = s.cfg.Catalog.FreeCapacity(ctx, server.Name(), missing); err != nil {
			return err
		}
	}
	var group errgroup.Group // a failure does not stop the others
	group.SetLimit(refillConcurrency)
	for range missing {
		group.Go(func() error { return s.buildSpare(ctx, server) })
	}
	return group.Wait()
}

// discardSpare removes a spare that cannot be claimed, if certainly nobody uses it. Otherwise the spare stays for the
// doctor, and its row says why. It reports whether the spare is gone.
func (s *Service) discardSpare(ctx context.Context, server Server, row catalog.Tenant) bool {
	if !s.discards.due(row.ID) {
		return false
	}
	began := time.Now()
	err := server.Discard(ctx, tenant.ID(row.ID))
	if err == nil {
		killpoint.Here("spare.discarded")
		err = s.cfg.Catalog.DeleteSpare(ctx, row.ID)
	}
	if err == nil {
		return true
	}
	if ctx.Err() != nil {
		return false
	}
	if errors.Is(err, tenant.ErrInUse) || errors.Is(err, tenant.ErrUnmanaged) || errors.Is(err, tenant.ErrInvalid) {
		s.discards.failed(row.ID)
		s.recordSteps(ctx, row.ID, []tenant.Step{{
			Name: stepDiscard, Status: tenant.Failed, StartedAt: began.UTC(), DurationMS: time.Since(began).Milliseconds(), Problem: err.Error(),
		}})
	}
	s.cfg.Logger.Warn("a spare that cannot be claimed is kept: look at it with homeroom doctor", "tenant", row.ID,
		"server", server.Name(), "error", err)
	return false
}

// stepDiscard is the step in the row of a spare that could not be discarded.
const stepDiscard = "discard"

// recordSteps writes into the row of a spare which steps it has finished, and why the last one failed.
func (s *Service) recordSteps(ctx context.Context, id uuid.UUID, steps []tenant.Step) {
	if len(steps) == 0 {
		return
	}
	text, err := json.Marshal(steps)
	if err == nil {
		err = s.cfg.Catalog.SetSteps(ctx, id, text)
	}
	if err != nil && !errors.Is(err, catalog.ErrStateChanged) && ctx.Err() == nil {
		s.cfg.Logger.Warn("record the failure of a spare", "tenant", id, "error", err)
	}
}

// closeIfDiskLow closes a server in the catalog while its disk is low, and opens it again afterwards.
func (s *Service) closeIfDiskLow(ctx context.Context, server Server) (closed bool, err error) {
	low := server.CheckFreeDisk(ctx)
	switch {
	case low == nil:
		changed, err := s.cfg.Catalog.OpenServer(ctx, server.Name())
		if changed {
			s.cfg.Logger.Info("a server has free space again: databases are created there", "server", server.Name())
		}
		return false, err
	case !errors.Is(low, tenant.ErrDiskLow):
		return false, low
	}
	changed, err := s.cfg.Catalog.CloseServer(ctx, server.Name(), low.Error())
	if changed {
		s.cfg.Logger.Error("a server's disk is low: no more databases are created there", "server", server.Name(), "error", low)
	}
	return true, err
}

// errDatabaseExisted says that the database of a new spare existed before.
var errDatabaseExisted = errors.New("its database existed before it was built")

// buildSpare writes the row of a spare, creates its database, and then marks the row as built. Only a database that
// this call has created certainly belongs to nobody.
func (s *Service) buildSpare(ctx context.Context, server Server) error {
	id := tenant.NewID()
	spare := catalog.NewSpare{
		ID: id.UUID(), Server: server.Name(), Database: id.Database(), Lineage: server.Migrations().Lineage(),
	}
	if err := s.cfg.Catalog.InsertSpare(ctx, spare); err != nil {
		return err
	}
	killpoint.Here("spare.inserted")
	result, err := server.Ensure(ctx, id, 0, nil)
	if err == nil && !result.Created {
		err = fmt.Errorf("build spare %s: %w", id, errDatabaseExisted)
	}
	if err != nil {
		s.recordSteps(ctx, id.UUID(), result.Steps)
		return err
	}
	killpoint.Here("spare.built")
	steps, err := json.Marshal(result.Steps)
	if err != nil {
		return fmt.Errorf("write steps of spare %s: %w", id, err)
	}
	err = s.cfg.Catalog.MarkSpareBuilt(ctx, id.UUID(), healthOf(result), steps)
	killpoint.Here("spare.marked")
	return err
}
