package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"homeroom/internal/problem"
	"homeroom/messages"
)

// readyTimeout bounds what /readyz waits for.
const readyTimeout = 2 * time.Second

func (s *server) registerProbes() {
	register(s, anyone, huma.Operation{
		OperationID: "live", Method: http.MethodGet, Path: "/livez", Tags: []string{tagHealth},
		Summary: "Is the process alive?", Description: "It checks nothing: any answer means yes.",
		Errors: []int{http.StatusUnprocessableEntity},
	}, func(context.Context, *struct{}) (*healthOutput, error) { return &healthOutput{Health{"ok"}}, nil })
	register(s, anyone, huma.Operation{
		OperationID: "ready", Method: http.MethodGet, Path: "/readyz", Tags: []string{tagHealth},
		Metadata:    flags(needsCatalogOnly),
		Summary:     "Can the service do its work?",
		Description: "Checks the catalog and the job runner; neither the identity provider nor the schools' databases.",
		Errors:      []int{http.StatusUnprocessableEntity, http.StatusServiceUnavailable},
	}, s.getReady)
}

// Health is the answer of a probe.
type Health struct {
	Status string `json:"status" example:"ok"`
}

type healthOutput struct{ Body Health }

func (s *server) getReady(ctx context.Context, _ *struct{}) (*healthOutput, error) {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	if err := s.cfg.Ready(ctx); err != nil {
		return nil, problem.New(problem.CatalogUnavailable, messages.ID("detail.not_ready")).WithRetryAfter(readyTimeout).WithCause(err)
	}
	return &healthOutput{Health{"ok"}}, nil
}
