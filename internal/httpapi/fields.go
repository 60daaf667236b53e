package httpapi

import (
	"context"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"homeroom/admission"
	"homeroom/catalog"
	"homeroom/identity"
	"homeroom/internal/problem"
	"homeroom/internal/secret"
	"homeroom/signup"
)

// takeConfigured reads the members that are configured in this service. Other members are left, and so are unknown
// ones.
func (s *server) takeConfigured(o *object, who *admission.Applicant) {
	if !s.cfg.Signup.Rules().NoPassword {
		who.Request.Password = secret.String(o.text("password"))
	}
	who.Request.Profile = s.takeProfile(o)
	if s.cfg.Admission.AsksForCaptcha() {
		who.CaptchaToken = o.text(admission.CaptchaField)
	}
}

// takeProfile reads the configured members of a profile.
func (s *server) takeProfile(o *object) map[string]string {
	profile := map[string]string{}
	for _, field := range identity.ProfileFields {
		if s.cfg.Signup.Rules().Fields[field] == "" {
			continue
		}
		if text := o.text(field); text != "" {
			profile[field] = text
		}
	}
	return profile
}

// unread returns the fields that could not be read, as errors of a sign-up.
func unread(wrong []problem.Field) []signup.FieldError {
	fields := make([]signup.FieldError, len(wrong))
	for i, field := range wrong {
		fields[i] = signup.FieldError(field)
	}
	return fields
}

// admit begins a sign-up, and sets the headers with the rest of the caller's allowance.
func (s *server) admit(ctx context.Context, who admission.Applicant) (signup.Outcome, error) {
	who.Caller = admission.CallerOf(ctx)
	outcome, grant, err := s.cfg.Admission.Begin(ctx, who)
	grant.SetHeaders(requestOf(ctx).headers)
	return outcome, err
}

// take takes one from an allowance of the caller's address, and sets the headers with the rest.
func (s *server) take(ctx context.Context, name string, allowance *catalog.Allowance) error {
	grant, err := s.cfg.Admission.Take(ctx, name, allowance, admission.CallerOf(ctx))
	grant.SetHeaders(requestOf(ctx).headers)
	return err
}

// RateHeaders describes the headers of a grant, for the OpenAPI document.
type RateHeaders struct {
	RateLimitPolicy string `header:"RateLimit-Policy" doc:"The number of sign-ups (q) that an address may make in a number of seconds (w)." example:"\"signup\";q=5;w=3600"`
	RateLimit       string `header:"RateLimit" doc:"The number that is left (r), and the seconds until there are more (t)." example:"\"signup\";r=4;t=720"`
}

// keepConfigured removes members that are not configured from the schema of a sign-up's body, and marks the required
// ones.
func (s *server) keepConfigured(schema *huma.Schema) {
	rules := s.cfg.Signup.Rules()
	if rules.NoPassword {
		removeProperty(schema, "password")
	}
	if !s.cfg.Admission.AsksForCaptcha() {
		removeProperty(schema, admission.CaptchaField)
	}
	if schema.Properties["invitation"] != nil && !slices.Contains(schema.Required, "invitation") {
		schema.AnyOf = []*huma.Schema{{Required: []string{"schoolName"}}, {Required: []string{"invitation"}}}
	}
	for _, field := range append([]string{"givenName", "familyName"}, identity.ProfileFields...) {
		if schema.Properties[field] == nil {
			continue
		}
		switch rules.Fields[field] {
		case signup.Required:
			schema.Required = append(schema.Required, field)
		case "":
			if slices.Contains(identity.ProfileFields, field) || schema.Properties["organizationName"] != nil {
				removeProperty(schema, field)
			}
		}
	}
}

// removeProperty removes a member from a schema.
func removeProperty(schema *huma.Schema, name string) {
	delete(schema.Properties, name)
	schema.Required = slices.DeleteFunc(schema.Required, func(required string) bool { return required == name })
}
