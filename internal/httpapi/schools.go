package httpapi

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

func (s *server) registerSchools() {
	register(s, anyone, huma.Operation{
		OperationID: "checkSchoolName", Method: http.MethodGet, Path: "/schools/availability", Tags: []string{tagSignup},
		Summary:     "Get the slug that a school's name would get",
		Description: "Schools may have the same name. If the slug is not free, the next school with the name gets one with a number.",
		Errors:      []int{http.StatusUnprocessableEntity, http.StatusServiceUnavailable},
	}, s.getAvailability)
	register(s, anyUser, huma.Operation{
		OperationID: "me", Method: http.MethodGet, Path: "/me", Tags: []string{tagSchool},
		Summary:     "Read the caller and their school",
		Description: "The user and the school from the catalog, and figures from the school's own database, read with the school's own role.",
		Errors:      []int{http.StatusForbidden, http.StatusNotFound},
	}, s.getMe)
}

type availabilityInput struct {
	Name string `query:"name" required:"true" maxLength:"400" doc:"The school's name." example:"Lincoln High"`
}

type availabilityOutput struct{ Body Availability }

// Availability is the slug of a name.
type Availability struct {
	Slug      string `json:"slug" doc:"The short name for URLs that the school would get." example:"lincoln-high"`
	Available bool   `json:"available" doc:"Whether it is free."`
}

func (s *server) getAvailability(ctx context.Context, in *availabilityInput) (*availabilityOutput, error) {
	slug, free, err := s.cfg.Signup.Available(ctx, in.Name)
	if err != nil {
		return nil, err
	}
	return &availabilityOutput{Availability{Slug: slug, Available: free}}, nil
}
