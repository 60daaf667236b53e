package httpapi

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"homeroom/signup"
)

func (s *server) registerReprovision() {
	register(s, withPermission("update:tenants"), huma.Operation{
		OperationID: "reprovisionTenant", Method: http.MethodPost, Path: "/tenants/{id}/reprovision", Tags: []string{tagOperator},
		Metadata: flags(needsSchema),
		Summary:  "Provision a tenant again",
		Description: "Runs every provisioning step again and adds what is missing; data is never dropped. With `fresh`, the old database is archived " +
			"under the name in the answer, and a new one is created. The tenant's status and steps show the progress.",
		DefaultStatus: http.StatusAccepted,
		Errors:        []int{http.StatusNotFound, http.StatusConflict},
	}, s.postReprovision)
}

// reprovision is the body; it may be left out.
type reprovision struct {
	Fresh   bool   `json:"fresh,omitempty" doc:"Archive the old database and create a new one."`
	Confirm string `json:"confirm,omitempty" doc:"The tenant's slug, to confirm fresh." example:"lincoln-high"`

	members
}

// UnmarshalJSON reads the members one by one, as newUser does.
func (r *reprovision) UnmarshalJSON(text []byte) error {
	return r.read(text, func(o *object) { r.Fresh, r.Confirm = o.flag("fresh"), o.text("confirm") })
}

type reprovisionInput struct {
	TenantPath
	Body *reprovision
}

// Reprovisioned is the tenant whose provisioning has started.
type Reprovisioned struct {
	TenantDetails
	KeptDatabase string `json:"keptDatabase,omitempty" doc:"The name of the archived old database."`
}

type reprovisionOutput struct {
	Location string `header:"Location" doc:"The URL of the tenant."`
	Body     Reprovisioned
}

func (s *server) postReprovision(ctx context.Context, in *reprovisionInput) (*reprovisionOutput, error) {
	params := signup.ReprovisionRequest{Tenant: in.ID, By: actor(ctx)}
	if in.Body != nil {
		if err := in.Body.invalid(); err != nil {
			return nil, err
		}
		params.Fresh, params.Confirm = in.Body.Fresh, in.Body.Confirm
	}
	row, kept, err := s.cfg.Signup.Reprovision(ctx, params)
	if err != nil {
		return nil, err
	}
	return &reprovisionOutput{
		Location: "/tenants/" + row.ID.String(),
		Body:     Reprovisioned{TenantDetails: s.details(ctx, row), KeptDatabase: kept},
	}, nil
}
