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
	// refillInterval is how often the stock of spares is looked at when nobody claims one.
	refillInterval = killpoint.ScaleTime(10 * time.Second)
	// claimDebounce is how long after a claim the stock is looked at: claims that come together are one look.
	claimDebounce = killpoint.ScaleTime(100 * time.Millisecond)
	// calm is for how long nobody must have signed up for a spare to be built, as long as there are enough: a clone keeps the
	// disk busy for which every sign-up waits twice.
	quietPeriod = killpoint.ScaleTime(400 * time.Millisecond)
)

// refillConcurrency is how many spares RefillSpares builds at the same time.
const refillConcurrency = 2

// RunRefiller keeps the stock of spares on every server, until ctx ends. Every process runs it; on each server one of them at a
// time builds, one spare after the other. It gives way to people: while they sign up it builds nothing, unless less than half
// of the stock is left, and while several wait for databases of their own it builds nothing at all.
func (s *Service) RunRefiller(ctx context.Context) error {
	var keepers errgroup.Group // each on its own: a server that does not answer holds up no other
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

// waitForClaim waits for as long at most, or until a spare is claimed. It returns how long to wait then: others may be claimed
// at the same moment.
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

// newWakeChannels are what wakes the refillers of these servers' spares.
func newWakeChannels(servers []string) map[string]chan struct{} {
	all := map[string]chan struct{}{}
	for _, name := range servers {
		all[name] = make(chan struct{}, 1)
	}
	return all
}

// wakeRefiller tells RunRefiller of this process that a spare of the server was claimed, or that the work on one for a school has
// ended.
func (s *Service) wakeRefiller(server string) {
	select {
	case s.wake[server] <- struct{}{}:
	default: // it has been told already, or the server is not configured here
	}
}

// refill builds the spares that are missing on a server, one after the other, and then discards those that nobody will be
// given, until there is nothing left to do or people come first. It returns how long to wait before the next recheck.
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
		if err != nil || !more { // another process is at it, or nothing can be done
			return refillInterval, err
		}
	}
	return 0, nil
}

// withRefillLock runs f unless another process fills the stock of the server.
func (s *Service) withRefillLock(ctx context.Context, server Server, f func(ctx context.Context) error) (bool, error) {
	return s.cfg.Catalog.Exclusive(ctx, "spares of server "+server.Name(), f)
}

func (s *Service) stock(ctx context.Context, server Server) (catalog.Stock, error) {
	schema := server.Migrations()
	return s.cfg.Catalog.Stock(ctx, server.Name(), schema.Lineage(), schema.Latest())
}

// missing is how many spares must be built. Where more than a stock of them has lately been begun and could neither be
// completed nor discarded, something is wrong with the server, and no more are begun for a while.
func (s *Service) missing(stock catalog.Stock) int {
	if stock.Begun > s.cfg.Spares {
		return 0
	}
	return max(s.cfg.Spares-stock.Ready, 0)
}

// refillDelay is how long to wait before anything is done about the stock; zero is now.
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

// refillNext builds one spare that is missing, or else discards one. It reports whether it did. Nobody else builds there, so
// what looks unfinished is.
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

// RefillSpares builds all spares that are missing now, whoever signs up meanwhile, unless another process is at it.
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

// refillServer discards the spares that will never be given to a school, those whose builder died and those of before a change of
// the catalog's instance, and then builds what is missing. Where the server's disk is low it builds nothing, and no sign-up
// is placed there, until there is room again.
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
	var group errgroup.Group // one that fails keeps no other from being built
	group.SetLimit(refillConcurrency)
	for range missing {
		group.Go(func() error { return s.buildSpare(ctx, server) })
	}
	return group.Wait()
}

// discardSpare removes a spare that cannot be claimed, if it is certainly nobody's. Else it stays as it is, for the doctor, and
// its row says why. It reports whether it is gone.
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

// stepDiscard is the step that the row of a spare tells of when it could not be discarded.
const stepDiscard = "discard"

// recordSteps has the row of a spare say how far it came, and why no further.
func (s *Service) recordSteps(ctx context.Context, id uuid.UUID, steps []tenant.Step) {
	if len(steps) == 0 {
		return
	}
	text, err := json.Marshal(steps)
	if err == nil {
		err = s.cfg.Catalog.SetSteps(ctx, id, text)
	}
	if err != nil && !errors.Is(err, catalog.ErrStateChanged) && ctx.Err() == nil {
		s.cfg.Logger.Warn("note on a spare's row what went wrong", "tenant", id, "error", err)
	}
}

// closeIfDiskLow closes a server in the catalog while its disk is low, and opens it afterwards.
func (s *Service) closeIfDiskLow(ctx context.Context, server Server) (closed bool, err error) {
	low := server.CheckFreeDisk(ctx)
	switch {
	case low == nil:
		changed, err := s.cfg.Catalog.OpenServer(ctx, server.Name())
		if changed {
			s.cfg.Logger.Info("a server has room again: databases are made there", "server", server.Name())
		}
		return false, err
	case !errors.Is(low, tenant.ErrDiskLow):
		return false, low
	}
	changed, err := s.cfg.Catalog.CloseServer(ctx, server.Name(), low.Error())
	if changed {
		s.cfg.Logger.Error("a server's disk is low: no more databases are made there", "server", server.Name(), "error", low)
	}
	return true, err
}

// errDatabaseExisted says that the database of a new spare was there before.
var errDatabaseExisted = errors.New("its database was there before it was built")

// buildSpare writes the row of a spare, makes its database, and marks the row last. Only a database that this very call has
// created is surely nobody's.
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
