package httpapi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"homeroom/internal/jwks"
	"homeroom/internal/problem"
	"homeroom/messages"
)

// requestTimeout bounds the work for a request, except event streams. It is longer than a sign-up waits for its
// tenant and the identity provider together.
const requestTimeout = 30 * time.Second

// access says who may use an operation. Its zero value allows nobody.
type access struct {
	public     bool
	token      bool
	permission string
}

var (
	// everybody needs no token.
	anyone = access{public: true}
	// anyUser needs a token, with any permissions.
	anyUser = access{token: true}
)

// withPermission needs a token with this permission.
func withPermission(permission string) access { return access{token: true, permission: permission} }

// register adds an operation. There is no other way to add one, so that none is open by mistake.
func register[I, O any](s *server, who access, op huma.Operation, handler func(context.Context, *I) (*O, error)) {
	middlewares := huma.Middlewares{s.withAnnouncedBody, s.withTimeout, s.guard(who)}
	if _, there := reflect.TypeFor[I]().FieldByName("Body"); there {
		middlewares = append(middlewares, s.requireJSON)
		op.MaxBodyBytes = cmp.Or(op.MaxBodyBytes, maxBodyBytes)
		op.SkipValidateBody = true // a body parses itself, see members
		op.Errors = append(op.Errors, http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity)
	}
	op.Middlewares = append(middlewares, op.Middlewares...)
	op.Errors = append(op.Errors, http.StatusInternalServerError)
	op.Security = []map[string][]string{} // this documents that no token is needed
	if !who.public {
		op.Security = []map[string][]string{{"accessToken": {}}}
		op.Errors = append(op.Errors, http.StatusUnauthorized, http.StatusServiceUnavailable)
	}
	if who.permission != "" {
		op.Errors = append(op.Errors, http.StatusForbidden)
		op.Description += "\n\nNeeds the permission `" + who.permission + "`."
	}
	huma.Register(s.api, op, handler)
}

// withTimeout gives a request its timeout.
func (s *server) withTimeout(ctx huma.Context, next func(huma.Context)) {
	if hasFlag(ctx.Operation(), flagStream) {
		next(ctx)
		return
	}
	limited, cancel := context.WithTimeout(ctx.Context(), requestTimeout)
	defer cancel()
	next(huma.WithContext(ctx, limited))
}

type claimsKey struct{}

// claimsOf returns the claims of the token that guard has verified.
func claimsOf(ctx context.Context) claims {
	c, _ := ctx.Value(claimsKey{}).(claims)
	return c
}

// guard rejects callers that may not use the operation.
func (s *server) guard(who access) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		if who.public {
			next(ctx)
			return
		}
		found, err := s.authenticate(ctx)
		if err == nil {
			err = authorize(who, found)
		}
		if err != nil {
			_ = huma.WriteErr(s.api, ctx, http.StatusInternalServerError, "", err) // the caller may have disconnected
			return
		}
		next(huma.WithValue(ctx, claimsKey{}, found))
	}
}

// authenticate verifies the token of a request.
func (s *server) authenticate(ctx huma.Context) (claims, error) {
	scheme, token, _ := strings.Cut(ctx.Header("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return claims{}, problem.New(problem.Unauthenticated, messages.ID("detail.token_needed")).WithHeader("WWW-Authenticate", "Bearer")
	}
	found, err := s.tokens.verify(ctx.Context(), token)
	if errors.Is(err, jwks.ErrFetch) {
		return claims{}, problem.New(problem.IdentityUnavailable, messages.ID("detail.token_unchecked")).
			WithRetryAfter(5 * time.Second).WithCause(err)
	}
	if err != nil {
		return claims{}, problem.New(problem.Unauthenticated, messages.ID("detail.token_bad")).WithCause(err).
			WithHeader("WWW-Authenticate", `Bearer error="invalid_token"`)
	}
	return found, nil
}

// authorize compares a token's permissions with the needed one.
func authorize(who access, found claims) error {
	if who.token && (who.permission == "" || found.allows(who.permission)) {
		return nil
	}
	args := messages.Args{"Permission": who.permission}
	detail := messages.ID("detail.permission", args)
	if len(found.Permissions) == 0 {
		detail = messages.ID("detail.permission_none", args)
	}
	return problem.New(problem.Forbidden, detail).
		WithHeader("WWW-Authenticate", fmt.Sprintf(`Bearer error="insufficient_scope", scope=%q`, who.permission))
}
