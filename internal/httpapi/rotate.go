package httpapi

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"homeroom/internal/postgres"
	"homeroom/internal/problem"
	"homeroom/lifecycle"
	"homeroom/tenant"
)

func (s *server) registerRotate() {
	register(s, withPermission("update:tenants"), huma.Operation{
		OperationID: "rotateTenant", Method: http.MethodPost, Path: "/tenants/{id}/rotate", Tags: []string{tagOperator},
		Summary: "Give a tenant's role a new password",
		Description: "From the answer on the former password is refused. The sessions of the role go on, unless `endSessions`: " +
			"after a theft of the password, those that it has opened must end too.",
		DefaultStatus: http.StatusAccepted, MaxBodyBytes: maxBodyBytes,
		SkipValidateBody: true, // the body reads itself
		Errors: []int{
			http.StatusBadRequest, http.StatusNotFound, http.StatusConflict, http.StatusRequestEntityTooLarge,
			http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity,
		},
		Middlewares: huma.Middlewares{s.requireJSON},
	}, s.postRotate)
}

// rotate is the body; it may be left out.
type rotate struct {
	EndSessions bool `json:"endSessions,omitempty" doc:"End the sessions of the tenant's role."`

	wrong []problem.Field
}

// UnmarshalJSON takes the members one by one, as that of newUser does.
func (r *rotate) UnmarshalJSON(text []byte) error {
	o, err := readObject(text)
	if err != nil {
		return err
	}
	r.EndSessions = o.flag("endSessions")
	r.wrong = o.end()
	return nil
}

type rotateInput struct {
	TenantPath
	Body *rotate
}

type rotateOutput struct {
	Location string `header:"Location" doc:"Where the tenant can be looked at."`
	Body     TenantDetails
}

func (s *server) postRotate(ctx context.Context, in *rotateInput) (*rotateOutput, error) {
	params := lifecycle.Rotation{Tenant: in.ID, Actor: claimsOf(ctx).Subject, RequestID: requestOf(ctx).ID}
	if in.Body != nil {
		if len(in.Body.wrong) > 0 {
			return nil, problem.Invalid(in.Body.wrong...)
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
