package httpapi

import (
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"homeroom/internal/problem"
	"homeroom/messages"
)

// AuthFailure is an error in the format of /api/auth/sign-up.
type AuthFailure struct {
	Success bool      `json:"success" doc:"false"`
	Error   AuthError `json:"error" doc:"What went wrong."`
}

// AuthError says what went wrong. Its codes are those of the problem documents.
type AuthError struct {
	Code    string       `json:"code" doc:"The kind of error, for programs; /problems has a page for each." example:"VALIDATION_ERROR"`
	Message string       `json:"message" doc:"What went wrong, for people." example:"Invalid input data"`
	Details []AuthDetail `json:"details,omitempty" doc:"All fields with errors."`
}

// AuthDetail is an error of a field.
type AuthDetail struct {
	Field   string `json:"field" doc:"The member of the body, or the header." example:"password"`
	Message string `json:"message" doc:"What is wrong, for people." example:"Password must contain at least one uppercase letter"`
}

// envelopeDetails are messages in the wording that clients of the envelope expect.
var envelopeDetails = map[*problem.Kind]messages.Message{
	problem.ValidationError: messages.ID("detail.invalid_data"),
	problem.EmailExists:     messages.ID("detail.email_has_account"),
}

// inEnvelope formats a problem as an envelope.
func inEnvelope(p *problem.Problem) *problem.Problem { return p.WithFormat(envelope, envelopeDetails) }

// enveloped is inEnvelope for any error, or nil.
func enveloped(err error) error {
	if err == nil {
		return nil
	}
	return inEnvelope(problem.Of(err))
}

// envelope returns the body for a problem.
func envelope(p *problem.Problem) any {
	failure := AuthFailure{Error: AuthError{Code: p.Code, Message: p.Detail}}
	for _, field := range p.Errors {
		failure.Error.Details = append(failure.Error.Details, AuthDetail{field.Field, field.Message})
	}
	return failure
}

// writeProblem answers with a problem where huma is not involved.
func writeProblem(w http.ResponseWriter, r *http.Request, p *problem.Problem) {
	if r.URL.Path == authSignupPath { // there is no operation that would set the format
		p = inEnvelope(p)
	}
	problem.Write(w, r, p)
}

// describeEnvelope documents the format of an operation's errors.
func (s *server) describeEnvelope(op *huma.Operation) {
	if !hasFlag(op, flagEnvelope) {
		return
	}
	schema := s.api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[AuthFailure](), true, "")
	for status, response := range op.Responses {
		if status >= "400" {
			response.Content = map[string]*huma.MediaType{"application/json": {Schema: schema}}
		}
	}
}

// schemaFor registers the schema of a type, and returns a reference to it.
func schemaFor[T any](r huma.Registry) *huma.Schema { return r.Schema(reflect.TypeFor[T](), true, "") }
