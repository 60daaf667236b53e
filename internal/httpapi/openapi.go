package httpapi

import (
	"cmp"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"homeroom/internal/problem"
	"homeroom/signup"
	"homeroom/tenant"
)

// Tags group the operations, in the order of the documentation.
const (
	tagSignup   = "Sign-up"
	tagSchool   = "School"
	tagOperator = "Operator"
	tagFleet    = "Fleet"
	tagWebhooks = "Webhooks"
	tagHealth   = "Health"
)

// humaConfig describes the API as a whole. The service has its own page for the document, since huma's page loads
// scripts from other sites.
func (s *server) humaConfig() huma.Config {
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Servers: []*huma.Server{{URL: cmp.Or(s.cfg.PublicURL, "/"), Description: "This service"}},
			Info: &huma.Info{
				Title:   "Homeroom",
				Version: s.cfg.Version,
				License: &huma.License{Name: "Apache License 2.0", Identifier: "Apache-2.0"},
				Description: "Every school has its own Postgres database. One request signs a school up; the rest is for its users and for operators.\n\n" +
					"Errors are problem documents (RFC 9457): `code` is for programs, `detail` for people, in the language of `Accept-Language`, and " +
					"`type` is the address of [a page](problems/validation-error) that explains it. " +
					"Each answer has an `X-Request-Id`. HEAD is answered wherever GET is.",
			},
			OnAddOperation: []huma.AddOpFunc{func(_ *huma.OpenAPI, op *huma.Operation) { s.operations = append(s.operations, op) }},
			Tags: []*huma.Tag{
				{Name: tagSignup, Description: "From a form to a ready school."},
				{Name: tagSchool, Description: "For users of a school, with their access token."},
				{Name: tagOperator, Description: "For operators of the service, with permissions."},
				{Name: tagFleet, Description: "For operators of the service: runs that migrate all tenants. The command `homeroom migrate` does the same."},
				{Name: tagWebhooks, Description: "For operators of the service: external programs that receive events. The command `homeroom webhook` does the same."},
				{Name: tagHealth, Description: "For load balancers and orchestrators."},
			},
			Components: &huma.Components{
				Schemas: newSchemas(),
				SecuritySchemes: map[string]*huma.SecurityScheme{"accessToken": {
					Type: "http", Scheme: "bearer", BearerFormat: "JWT",
					Description: "An access token of the identity provider, for this API's audience.",
				}},
			},
		},
		Formats:                      map[string]huma.Format{"application/json": strictJSON, "json": strictJSON},
		DefaultFormat:                "application/json",
		RejectUnknownQueryParameters: true,
		Transformers:                 []huma.Transformer{finish},
	}
}

// finish completes problems that huma is about to write.
func finish(ctx huma.Context, _ string, body any) (any, error) {
	if p, ok := body.(*problem.Problem); ok {
		headers := http.Header{}
		p.Complete(ctx.Context(), headers)
		for name := range headers {
			ctx.SetHeader(name, headers.Get(name))
		}
		return p.Body(), nil
	}
	return body, nil
}

// schemaName gives schemas a clearer name than that of the type, where needed.
func schemaName(t reflect.Type, hint string) string {
	switch t {
	case reflect.TypeFor[signup.View]():
		return "Signup"
	case reflect.TypeFor[signup.Result]():
		return "SignupResult"
	case reflect.TypeFor[signup.Step]():
		return "SignupStep"
	case reflect.TypeFor[tenant.Step]():
		return "TenantStep"
	}
	return huma.DefaultSchemaNamer(t, hint)
}

// signupResponses are the two successful answers of POST /users.
func (s *server) signupResponses() map[string]*huma.Response {
	schemas := s.api.OpenAPI().Components.Schemas
	body := func(t reflect.Type) map[string]*huma.MediaType {
		return map[string]*huma.MediaType{"application/json": {Schema: schemas.Schema(t, true, "")}}
	}
	location := map[string]*huma.Param{"Location": {
		Description: "The URL of the sign-up.", Schema: &huma.Schema{Type: huma.TypeString},
	}}
	return map[string]*huma.Response{
		"201": {Description: "The school is ready.", Content: body(reflect.TypeFor[signup.Result]())},
		"202": {Description: "The sign-up continues.", Content: body(reflect.TypeFor[Accepted]()), Headers: location},
	}
}

// document completes the OpenAPI document once all operations are registered.
func (s *server) document() *huma.OpenAPI {
	doc := s.api.OpenAPI()
	for _, op := range s.operations {
		s.describeEnvelope(op)
		describeErrors(op)
		describeHeaders(op)
	}
	bodies := s.requestBodies()
	for name, schema := range doc.Components.Schemas.Map() {
		if flag, isBody := bodies[name]; !isBody {
			schema.AdditionalProperties = nil // answers may get more members; only requests are closed
		} else if flag {
			s.keepConfigured(schema)
		}
		describeProperties(name, schema)
	}
	return doc
}

// requestBodies names the schemas of request bodies, and reports which of them are bodies of operations that begin a
// sign-up.
func (s *server) requestBodies() map[string]bool {
	bodies := map[string]bool{}
	for _, op := range s.operations {
		if op.RequestBody == nil {
			continue
		}
		for _, content := range op.RequestBody.Content {
			for _, schema := range append(content.Schema.OneOf, content.Schema) {
				if _, name, found := strings.Cut(schema.Ref, "#/components/schemas/"); found {
					bodies[name] = bodies[name] || hasFlag(op, beginsSignup)
				}
			}
		}
	}
	return bodies
}

// describeHeaders replaces the keys of [longTexts].
func describeHeaders(op *huma.Operation) {
	for _, parameter := range op.Parameters {
		parameter.Description, parameter.Schema.Description = described(parameter.Description), described(parameter.Schema.Description)
	}
	for _, response := range op.Responses {
		for _, header := range response.Headers {
			header.Description, header.Schema.Description = described(header.Description), described(header.Schema.Description)
		}
	}
}

// described returns a description, or the text of [longTexts] with this key.
func described(text string) string { return cmp.Or(longTexts[text], text) }

// describeProperties replaces the keys of [longTexts], and adds descriptions that the types do not have.
func describeProperties(name string, schema *huma.Schema) {
	for _, p := range schema.Properties {
		p.Description = described(p.Description)
	}
	for property, text := range propertyTexts[name] {
		if p := schema.Properties[property]; p != nil {
			p.Description = text
		}
	}
	for _, property := range []string{"id", "signupId"} {
		if p := schema.Properties[property]; p != nil && p.Pattern == "" {
			p.Format = "uuid"
		}
	}
	if name == "Signup" {
		schema.Properties["problem"].Type = huma.TypeObject
	}
}

// describeErrors lists the codes that an operation's errors may have, by status.
func describeErrors(op *huma.Operation) {
	for text, response := range op.Responses {
		status, err := strconv.Atoi(text)
		if err != nil || status < http.StatusBadRequest {
			continue
		}
		var codes []string
		for _, k := range problem.Kinds {
			if k.Status == status && possible(op, k) {
				codes = append(codes, "`"+k.Code+"`")
			}
		}
		slices.Sort(codes)
		response.Description = strings.Join(codes, ", ")
	}
}

// possible reports whether an operation can have a kind of error that not all operations with its status have.
func possible(op *huma.Operation, k *problem.Kind) bool {
	begins, token := hasFlag(op, beginsSignup), len(op.Security) > 0
	switch k {
	case problem.EmailExists, problem.IdempotencyMismatch, problem.SchoolExists, problem.SignupClosed, problem.InvitationRequired:
		return begins
	case problem.IdentityUnavailable:
		return begins || token
	case problem.Forbidden:
		return token
	case problem.InvitationGone:
		return begins || hasFlag(op, endsInvitation)
	case problem.LinkGone:
		return false // only pages have links
	case problem.NotWaiting:
		return hasFlag(op, needsWaiting)
	case problem.OtherSchema:
		return hasFlag(op, needsSchema)
	case problem.SignupBudget:
		return begins && !token
	case problem.Busy:
		return !hasFlag(op, needsCatalogOnly)
	}
	return true
}
