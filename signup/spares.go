package signup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"homeroom/catalog"
	"homeroom/internal/killpoint"
	"homeroom/tenant"
)

const (
	// refillEvery is how often the stock of spares is looked at when nobody claims one.
	refillEvery = 10 * time.Second
	// refillAtOnce is how many spares a process builds at the same time: enough to keep up, few enough to leave the disk
	// to the sign-ups.
	refillAtOnce = 2
)

// KeepSpares keeps the stock of spares on every server, until ctx ends. Every process runs it; one at a time fills a
// server. A spare whose builder died is completed by the next.
func (s *Service) KeepSpares(ctx context.Context) error {
	ticker := time.NewTicker(killpoint.Hasten(refillEvery))
	defer ticker.Stop()
	for {
		if err := s.FillSpares(ctx); err != nil && ctx.Err() == nil {
			s.cfg.Logger.Error("fill the stock of spares", "cause", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		case <-s.claimed:
		}
	}
}

// wakeKeeper tells KeepSpares of this process that a spare was claimed.
func (s *Service) wakeKeeper() {
	select {
	case s.claimed <- struct{}{}:
	default: // it has been told already
	}
}

// FillSpares builds the spares that are missing now, unless another process is at it.
func (s *Service) FillSpares(ctx context.Context) error {
	var all error
	for _, name := range s.cfg.Servers.Names() {
		server, err := s.cfg.Servers.Get(name)
		if err == nil {
			_, err = s.cfg.Catalog.Exclusive(ctx, "spares of server "+name, func(ctx context.Context) error {
				return s.fillServer(ctx, server)
			})
		}
		if err != nil {
			all = errors.Join(all, fmt.Errorf("server %s: %w", name, err))
		}
	}
	return all
}

// fillServer builds what is missing, then discards the spares that will never be given to a school: those whose builder died,
// and those of before a change of the catalog's instance. Where the server's disk is low it builds nothing, and no sign-up
// is placed there, until there is room again.
func (s *Service) fillServer(ctx context.Context, server Server) error {
	if closed, err := s.closeIfLow(ctx, server); closed || err != nil {
		return err
	}
	schema := server.Migrations()
	discardable, err := s.cfg.Catalog.DiscardableSpares(ctx, server.Name(), schema.Lineage())
	if err != nil {
		return err
	}
	ready, err := s.cfg.Catalog.Spares(ctx, server.Name(), schema.Lineage(), schema.Latest())
	if err != nil {
		return err
	}
	missing := s.cfg.Spares - ready
	if missing > 0 {
		if missing, err = s.cfg.Catalog.Room(ctx, server.Name(), missing); err != nil {
			return err
		}
	}
	var group errgroup.Group
	group.SetLimit(refillAtOnce)
	for range missing {
		group.Go(func() error {
			id := tenant.NewID()
			spare := catalog.NewSpare{
				ID: id.UUID(), Server: server.Name(), Database: id.Database(), Lineage: schema.Lineage(),
			}
			if err := s.cfg.Catalog.InsertSpare(ctx, spare); err != nil {
				return err
			}
			killpoint.Here("spare.inserted")
			return s.buildSpare(ctx, server, id)
		})
	}
	err = group.Wait()
	for _, row := range discardable {
		s.discardSpare(ctx, server, row)
	}
	return err
}

// discardSpare removes a spare that cannot be claimed, if it is certainly nobody's. Else it stays as it is, for the doctor.
func (s *Service) discardSpare(ctx context.Context, server Server, row catalog.Tenant) {
	if !s.discards.due(row.ID) {
		return
	}
	err := server.Discard(ctx, tenant.ID(row.ID))
	if err == nil {
		killpoint.Here("spare.discarded")
		err = s.cfg.Catalog.DeleteSpare(ctx, row.ID)
	}
	if err != nil && ctx.Err() == nil {
		if errors.Is(err, tenant.ErrInUse) || errors.Is(err, tenant.ErrForeign) || errors.Is(err, tenant.ErrHalfDropped) {
			s.discards.failed(row.ID)
		}
		s.cfg.Logger.Warn("a spare that cannot be claimed is kept: look at it with homeroom doctor", "tenant", row.ID,
			"server", server.Name(), "cause", err)
	}
}

// closeIfLow closes a server in the registry while its disk is low, and opens it afterwards.
func (s *Service) closeIfLow(ctx context.Context, server Server) (closed bool, err error) {
	low := server.Admits(ctx)
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
		s.cfg.Logger.Error("a server's disk is low: no more databases are made there", "server", server.Name(), "cause", low)
	}
	return true, err
}

// errNotNew says that the database of a new spare was there before.
var errNotNew = errors.New("its database was there before it was built")

// buildSpare makes the database of a spare whose row is written, and marks the row last. Only a database that this very call
// has created is surely nobody's.
func (s *Service) buildSpare(ctx context.Context, server Server, id tenant.ID) error {
	result, err := server.Ensure(ctx, id, 0, nil)
	if err != nil {
		return err
	}
	if !result.Created {
		return fmt.Errorf("build spare %s: %w", id, errNotNew)
	}
	killpoint.Here("spare.built")
	steps, err := json.Marshal(result.Steps)
	if err != nil {
		return fmt.Errorf("write steps of spare %s: %w", id, err)
	}
	err = s.cfg.Catalog.SpareBuilt(ctx, id.UUID(), healthOf(result), steps)
	killpoint.Here("spare.marked")
	return err
}
