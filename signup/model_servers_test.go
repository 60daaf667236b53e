package signup_test

import (
	"context"
	"fmt"
	"slices"

	"homeroom/internal/modeltest"
	"homeroom/migrations"
	"homeroom/signup"
	"homeroom/tenant"
)

// serverSim is a simulated server for tenants.
type serverSim struct {
	name      string
	databases []database
}

// database is a database on a simulated server.
type database struct {
	name string
	// closed: it accepts no connections yet; unmanaged: Homeroom has not created it
	closed, unmanaged bool
}

func (s *serverSim) find(name string) *database {
	for i := range s.databases {
		if s.databases[i].name == name {
			return &s.databases[i]
		}
	}
	return nil
}

// serversSim is a process's connection to the simulated servers.
type serversSim struct {
	w    *world
	proc *process
}

var _ signup.Servers = serversSim{}

// Names implements signup.Servers.
func (s serversSim) Names() []string {
	names := make([]string, 0, len(s.w.servers))
	for _, server := range s.w.servers {
		names = append(names, server.name)
	}
	return names
}

var tenantSchema = migrations.Tenant()

// Migrations implements signup.Servers.
func (s serversSim) Migrations() *migrations.Set { return tenantSchema }

// Get implements signup.Servers.
func (s serversSim) Get(name string) (signup.Server, error) {
	for _, server := range s.w.servers {
		if server.name == name {
			return serverPort{s, server}, nil
		}
	}
	return nil, fmt.Errorf("server %q is not configured", name)
}

// serverPort is a process's connection to one of them.
type serverPort struct {
	serversSim
	server *serverSim
}

// Name implements signup.Server.
func (s serverPort) Name() string { return s.server.name }

// do executes a statement in a session, about a tenant's database.
func (s serverPort) do(ctx context.Context, session *modeltest.Session, id tenant.ID, what string, f func() error) error {
	c := &modeltest.Call{Process: s.proc.Process, System: s.server.name, What: what, About: s.w.name(id.UUID()), Session: session}
	lock := s.server.name + " " + id.String()
	if what == "lock" {
		c.Blocked = func() bool { return s.w.LockedByOther(lock, session) }
		c.Lost = func() error { return tenant.ErrBusy }
		f = func() error { s.w.Locks[lock] = session; return nil }
	}
	return modeltest.Do(ctx, s.w.World, c, f)
}

// Ensure implements signup.Server in the same steps as the real one.
func (s serverPort) Ensure(ctx context.Context, id tenant.ID, _ int, progress tenant.Progress) (tenant.Result, error) {
	session := &modeltest.Session{}
	defer session.Close()
	if err := s.do(ctx, session, id, "lock", nil); err != nil {
		return tenant.Result{}, err
	}
	created := s.server.find(id.Database()) == nil
	for _, step := range []struct {
		name string
		f    func() error
	}{
		{"create", func() error { return s.create(id) }},
		{"open", func() error { return s.open(id) }},
		{"migrate", func() error { return s.open(id) }},
	} {
		if progress != nil {
			progress(nil)
		}
		if err := s.do(ctx, session, id, step.name, step.f); err != nil {
			return tenant.Result{}, err
		}
	}
	return tenant.Result{Version: tenantSchema.Latest(), Created: created}, nil
}

// CheckFreeDisk implements signup.Server.
func (serverPort) CheckFreeDisk(context.Context) error { return nil }

func (s serverPort) create(id tenant.ID) error {
	found := s.server.find(id.Database())
	switch {
	case found == nil:
		s.server.databases = append(s.server.databases, database{name: id.Database(), closed: true})
	case found.unmanaged:
		return tenant.ErrUnmanaged
	}
	return nil
}

// open lets a database accept connections. It fails if the database is gone, which only a process without the lock can
// cause.
func (s serverPort) open(id tenant.ID) error {
	found := s.server.find(id.Database())
	if found == nil {
		return fmt.Errorf("database %s does not exist", id.Database())
	}
	found.closed = false
	return nil
}

// Archive implements signup.Server.
func (s serverPort) Archive(ctx context.Context, id tenant.ID, archive string) error {
	session := &modeltest.Session{}
	defer session.Close()
	if err := s.do(ctx, session, id, "lock", nil); err != nil {
		return err
	}
	return s.do(ctx, session, id, "set aside", func() error {
		found := s.server.find(id.Database())
		switch {
		case found == nil, slices.ContainsFunc(s.server.databases, func(d database) bool { return d.name == archive }):
			return nil
		case found.unmanaged:
			return tenant.ErrUnmanaged
		}
		found.name, found.closed = archive, true
		return nil
	})
}

// CheckSpare implements signup.Server.
func (s serverPort) CheckSpare(ctx context.Context, id tenant.ID, _ string) error {
	return s.do(ctx, &modeltest.Session{}, id, "check spare", func() error {
		found := s.server.find(id.Database())
		switch {
		case found == nil || found.closed:
			return tenant.ErrMissing
		case found.unmanaged:
			return tenant.ErrUnmanaged
		}
		return nil
	})
}

// MarkInUse implements signup.Server.
func (serverPort) MarkInUse(context.Context, map[tenant.ID]string) ([]tenant.ID, error) {
	return nil, nil
}

// Discard implements signup.Server.
func (s serverPort) Discard(ctx context.Context, id tenant.ID) error {
	session := &modeltest.Session{}
	defer session.Close()
	if err := s.do(ctx, session, id, "lock", nil); err != nil {
		return err
	}
	return s.do(ctx, session, id, "discard", func() error {
		if found := s.server.find(id.Database()); found != nil && found.unmanaged {
			return tenant.ErrUnmanaged
		}
		s.server.databases = slices.DeleteFunc(s.server.databases, func(d database) bool { return d.name == id.Database() })
		return nil
	})
}
