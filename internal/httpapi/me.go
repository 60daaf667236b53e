package httpapi

import (
	"context"
	"errors"

	"homeroom/catalog"
	"homeroom/internal/problem"
	"homeroom/messages"
	"homeroom/signup"
	"homeroom/tenant"
)

// Me is the caller and their school.
type Me struct {
	User     MyUser        `json:"user"`
	School   signup.School `json:"school"`
	Database MyDatabase    `json:"database"`
}

// MyUser is the caller in the catalog.
type MyUser struct {
	signup.User
	Role string `json:"role" doc:"The person's role at the school." example:"owner"`
}

// MyDatabase has figures from the school's own database.
type MyDatabase struct {
	Tables    int   `json:"tables" doc:"The number of its tables." example:"4"`
	SizeBytes int64 `json:"sizeBytes" doc:"Its size on disk." example:"7864320"`
	// SchemaVersion is nil where the school's role cannot read the version.
	SchemaVersion *int64 `json:"schemaVersion,omitempty" doc:"Its schema version." example:"4"`
}

type meOutput struct{ Body Me }

func (s *server) getMe(ctx context.Context, _ *struct{}) (*meOutput, error) {
	user, err := s.cfg.Catalog.UserByIdentity(ctx, claimsOf(ctx).Subject)
	if errors.Is(err, catalog.ErrNotFound) {
		return nil, problem.New(problem.NotFound, messages.ID("detail.no_school_of_user"))
	}
	if err != nil {
		return nil, err
	}
	row, err := s.cfg.Catalog.TenantByID(ctx, user.TenantID)
	if err != nil {
		return nil, err
	}
	if err := signup.CheckUsable(row); err != nil {
		return nil, err
	}
	s.cfg.Fleet.Prioritize(ctx, row)
	server, err := s.cfg.Servers.Get(row.Server)
	if err != nil {
		return nil, &tenant.UnreachableError{Err: err}
	}
	figures, err := s.cfg.Pools.Figures(ctx, server, tenant.ID(row.ID), row.PasswordRotation)
	if err != nil {
		return nil, err
	}
	return &meOutput{Me{
		User:     MyUser{Role: user.Role, User: signup.NewUser(user)},
		School:   signup.NewSchool(row),
		Database: MyDatabase(figures),
	}}, nil
}
