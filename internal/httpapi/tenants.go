package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"homeroom/catalog"
	"homeroom/tenant"
)

func (s *server) registerTenants() {
	read := withPermission("read:tenants")
	register(s, read, huma.Operation{
		OperationID: "listTenants", Method: http.MethodGet, Path: "/tenants", Tags: []string{tagOperator},
		Metadata:    flags(needsCatalogOnly),
		Summary:     "List the tenants",
		Description: "Newest first, in pages. Spares, which belong to no school yet, are listed only with `status=spare`.",
		Errors:      []int{http.StatusUnprocessableEntity},
	}, s.listTenants)
	register(s, read, huma.Operation{
		OperationID: "getTenant", Method: http.MethodGet, Path: "/tenants/{id}", Tags: []string{tagOperator},
		Summary:     "Read a tenant",
		Description: "Data from the catalog, and from the tenant's server.",
		Errors:      []int{http.StatusNotFound},
	}, s.getTenant)
	s.registerReprovision()
	s.registerRotate()
}

// Tenant is a tenant, as a list shows it.
type Tenant struct {
	ID            uuid.UUID              `json:"id"`
	Name          string                 `json:"name,omitempty" doc:"The school's name; absent for a spare." example:"Lincoln High"`
	Slug          string                 `json:"slug,omitempty" doc:"The school's short name for URLs; absent for a spare." example:"lincoln-high"`
	Database      string                 `json:"database" doc:"The name of its database and of its role." example:"t_agm4dmd5f2vkbonbb5xtyhrnjm"`
	Server        string                 `json:"server" doc:"The Postgres server of its database." example:"main"`
	Status        catalog.State          `json:"status" example:"ready"`
	SchemaVersion uint                   `json:"schemaVersion" doc:"Its schema version." example:"4"`
	CreatedAt     time.Time              `json:"createdAt" doc:"When the school signed up."`
	ReadyAt       *time.Time             `json:"readyAt,omitempty" doc:"When it could first be used."`
	Problem       string                 `json:"problem,omitempty" doc:"Why it is quarantined."`
	ProblemKind   catalog.QuarantineKind `json:"problemKind,omitempty" doc:"@quarantineKind"`
}

func tenantOf(row catalog.Tenant) Tenant {
	return Tenant{
		ID: row.ID, Name: row.Name, Slug: row.Slug, Database: row.Database, Server: row.Server, Status: row.State,
		SchemaVersion: row.SchemaVersion, CreatedAt: row.CreatedAt.UTC(), ReadyAt: utc(row.ReadyAt),
		Problem: orZero(row.QuarantineCause), ProblemKind: orZero(row.QuarantineKind),
	}
}

type listInput struct {
	Q       string        `query:"q" maxLength:"200" doc:"A part of the name, the slug or the database's name."`
	Status  catalog.State `query:"status"`
	Server  string        `query:"server" maxLength:"31" example:"main"`
	Version uint          `query:"version" minimum:"1" doc:"The schema version."`
	Cursor  string        `query:"cursor" maxLength:"200" doc:"The nextCursor of the previous page."`
	Limit   int           `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"The size of a page."`
}

// TenantPage is a page of the list.
type TenantPage struct {
	Tenants    []Tenant `json:"tenants"`
	NextCursor string   `json:"nextCursor,omitempty" doc:"Continues the list; absent at its end."`
}

type listOutput struct{ Body TenantPage }

func (s *server) listTenants(ctx context.Context, in *listInput) (*listOutput, error) {
	filter := catalog.Filter{
		Search: in.Q, State: in.Status, Server: in.Server, Cursor: in.Cursor, Limit: in.Limit,
	}
	if in.Version > 0 {
		filter.Version = &in.Version
	}
	found, err := s.cfg.Catalog.Tenants(ctx, filter)
	if err != nil {
		return nil, err
	}
	shown, next := page(found, tenantOf)
	return &listOutput{TenantPage{shown, next}}, nil
}

// TenantDetails are the details of a tenant.
type TenantDetails struct {
	Tenant
	Fingerprint string `json:"fingerprint,omitempty" doc:"A hash of its schema; equal for tenants with the same schema."`
	HeldAt      *uint  `json:"heldAt,omitempty" doc:"The version at which an operator holds it. Only runs that name it change that." example:"3"`
	Canary      bool   `json:"canary" doc:"Whether every run over the fleet migrates it first."`
	// SizeBytes and Connections are nil where the server does not answer.
	SizeBytes   *int64        `json:"sizeBytes,omitempty" doc:"The size of its database on disk; absent if the server does not answer." example:"7864320"`
	Connections *int          `json:"connections,omitempty" doc:"The number of sessions in its database." example:"2"`
	Warning     string        `json:"warning,omitempty" doc:"What could not be read."`
	Steps       []tenant.Step `json:"steps" doc:"The steps of the last or current provisioning."`
}

// TenantPath names a tenant. It is exported, since huma does not read unexported embedded structs.
type TenantPath struct {
	ID string `path:"id" maxLength:"100" doc:"The tenant's id, slug or database." example:"lincoln-high"`
}

type tenantOutput struct{ Body TenantDetails }

func (s *server) getTenant(ctx context.Context, in *TenantPath) (*tenantOutput, error) {
	row, err := s.cfg.Catalog.Tenant(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &tenantOutput{s.details(ctx, row)}, nil
}

// details reads from the tenant's server as well. If it does not answer, the data from the catalog is returned.
func (s *server) details(ctx context.Context, row catalog.Tenant) TenantDetails {
	d := TenantDetails{
		Tenant: tenantOf(row), Fingerprint: orZero(row.Fingerprint), HeldAt: row.HeldAt, Canary: row.Canary, Steps: []tenant.Step{},
	}
	_ = json.Unmarshal(row.Steps, &d.Steps) // written by this program; steps that cannot be read are left out
	server, err := s.cfg.Servers.Get(row.Server)
	var facts tenant.Stats
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, factsTimeout)
		defer cancel()
		facts, err = server.Stats(ctx, tenant.ID(row.ID))
	}
	switch {
	case err != nil:
		d.Warning = "The server " + row.Server + " could not be asked."
		requestOf(ctx).Cause = err
	case !facts.Exists:
		d.Warning = "There is no database of this name on the server " + row.Server + "."
	default:
		d.SizeBytes, d.Connections = &facts.SizeBytes, &facts.Connections
	}
	return d
}

// factsTimeout bounds the query to a tenant's server.
const factsTimeout = 3 * time.Second
