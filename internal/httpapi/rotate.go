package httpapi

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"homeroom/internal/postgres"
	"homeroom/lifecycle"
	"homeroom/tenant"
)

func (s *server) registerRotate() {
	register(s, withPermission("update:tenants"), huma.Operation{
		OperationID: "rotateTenant", Method: http.MethodPost, Path: "/tenants/{id}/rotate", Tags: []string{tagOperator},
		Summary: "Give a tenant's role a new password",
		Description: "After the answer the former password is not valid. The sessions of the role go on, unless `endSessions` is set: " +
			"after a theft of the password, its sessions must end as well.",
		DefaultStatus: http.StatusAccepted,
		Errors:        []int{http.StatusNotFound, http.StatusConflict},
	}, s.postRotate)
}

// rotate is the body; it may be left out.
type rotate struct {
	EndSessions bool `json:"endSessions,omitempty" doc:"End the sessions of the tenant's role."`

	members
}

// UnmarshalJSON reads the members one by one, as newUser does.
func (r *rotate) UnmarshalJSON(text []byte) error {
	return r.read(text, func(o *object) { r.EndSessions = o.flag("endSessions") })
}

type rotateInput struct {
	TenantPath
	Body *rotate
}

type rotateOutput struct {
	Location string `header:"Location" doc:"The URL of the tenant."`
	Body     TenantDetails
}

func (s *server) postRotate(ctx context.Context, in *rotateInput) (*rotateOutput, error) {
	params := lifecycle.Rotation{Tenant: in.ID, By: actor(ctx)}
	if in.Body != nil {
		if err := in.Body.invalid(); err != nil {
			return nil, err
		}
		params.EndSessions = in.Body.EndSessions
	}
	row, err := lifecycle.Rotate(ctx, s.cfg.Catalog, s.cfg.Servers, s.cfg.Queue, params)
	if errors.Is(err, tenant.ErrBusy) || postgres.Unreachable(err) && row.PasswordRotation > 0 {
		return nil, &tenant.UnreachableError{Err: err}
	}
	if err != nil {
		return nil, err
	}
	return &rotateOutput{Location: "/tenants/" + row.ID.String(), Body: s.details(ctx, row)}, nil
}
