package httpapi

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"homeroom/catalog"
	"homeroom/identity"
	"homeroom/internal/secret"
	"homeroom/signup"
)

// newcomer is somebody who signs up without a login: what they ask for, and what is wrong with how they said it.
type newcomer struct {
	request      signup.Request
	captchaToken string
	wrong        []FieldProblem
}

// takeAsked takes the members that are asked for here and not everywhere. What is not asked for is left, and so an unknown
// member.
func (s *server) takeAsked(o *object, n *newcomer) {
	if !s.cfg.Signup.Rules().NoPassword {
		n.request.Password = secret.String(o.text("password"))
	}
	n.request.Profile = s.takeProfile(o)
	if s.cfg.Captcha != nil {
		n.captchaToken = o.text(captchaField)
	}
}

// takeProfile takes the members of a profile that are asked for here.
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

// letIn begins the sign-up of a newcomer. validate tells everything that is wrong with what they ask for.
//
// The order is that of the costs: what is wrong costs nothing, a try costs one of the address's allowance, and only who has
// solved the CAPTCHA takes from what the whole service has.
func (s *server) letIn(ctx context.Context, n newcomer, validate func(signup.Request, []FieldProblem) error) (signup.Outcome, error) {
	repeats, err := s.repeats(ctx, n.request.IdempotencyKey)
	if err != nil {
		return signup.Outcome{}, err
	}
	if err := validate(n.request, append(n.wrong, s.missingToken(n, repeats)...)); err != nil {
		return signup.Outcome{}, err
	}
	if s.cfg.Captcha == nil { // nothing comes between the two
		taken, err := s.takeWithBudget(ctx, "signup", s.cfg.SignupRate, s.budget(), n.request.IdempotencyKey)
		if err != nil {
			return signup.Outcome{}, err
		}
		return s.beginWithin(ctx, n.request, taken)
	}
	if err := s.takeSignup(ctx, n.request.IdempotencyKey); err != nil {
		return signup.Outcome{}, err
	}
	if err := s.checkCaptcha(ctx, n, repeats); err != nil {
		return signup.Outcome{}, err
	}
	return s.beginSignup(ctx, n.request)
}

// beginSignup begins a sign-up, wherever it comes from, if the whole service takes one more.
func (s *server) beginSignup(ctx context.Context, req signup.Request) (signup.Outcome, error) {
	if _, err := req.Normalise(s.cfg.Signup.Rules()); err != nil {
		return signup.Outcome{}, err
	}
	taken, err := s.takeBudget(ctx, req.IdempotencyKey)
	if err != nil {
		return signup.Outcome{}, err
	}
	return s.beginWithin(ctx, req, taken)
}

// beginWithin begins a sign-up for which this was taken from the budget. One that is refused costs nothing.
func (s *server) beginWithin(ctx context.Context, req signup.Request, taken []catalog.Limit) (signup.Outcome, error) {
	outcome, err := s.cfg.Signup.Begin(ctx, req)
	if err != nil && problemOf(err).Status < http.StatusInternalServerError {
		s.giveBack(ctx, taken) // nothing was built; what failed on our side may yet be
	}
	return outcome, err
}

// validateUser puts what could not be read and what must not be together, one problem for a field.
func (s *server) validateUser(req signup.Request, wrong []FieldProblem) error {
	all, err := s.allWrong(req, wrong)
	if err == nil && len(all) > 0 {
		return invalidFields(all...)
	}
	return err
}

// allWrong adds what must not be to what could not be read.
func (s *server) allWrong(req signup.Request, wrong []FieldProblem) ([]FieldProblem, error) {
	all := slices.Clone(wrong)
	_, err := req.Normalise(s.cfg.Signup.Rules())
	var invalid *signup.ValidationError
	if err != nil && !errors.As(err, &invalid) {
		return nil, err
	}
	if invalid != nil {
		for _, field := range fieldProblems(invalid.Fields) {
			known := func(other FieldProblem) bool { return other.Field == field.Field }
			if !slices.ContainsFunc(wrong, known) {
				all = append(all, field)
			}
		}
	}
	return all, nil
}

// askedOnly cuts the schema of a sign-up's body down to the members that are asked for here, and says which are needed.
func (s *server) askedOnly(schema *huma.Schema) {
	rules := s.cfg.Signup.Rules()
	if rules.NoPassword {
		forget(schema, "password")
	}
	if s.cfg.Captcha == nil {
		forget(schema, captchaField)
	}
	if schema.Properties["invitation"] != nil && !slices.Contains(schema.Required, "invitation") {
		schema.AnyOf = []*huma.Schema{{Required: []string{"schoolName"}}, {Required: []string{"invitation"}}}
	}
	for _, field := range append([]string{"givenName", "familyName"}, identity.ProfileFields...) {
		switch rules.Fields[field] {
		case signup.Required:
			schema.Required = append(schema.Required, field)
		case "":
			if slices.Contains(identity.ProfileFields, field) || schema.Properties["organizationName"] != nil {
				forget(schema, field)
			}
		}
	}
}

// forget takes a member out of a schema.
func forget(schema *huma.Schema, name string) {
	delete(schema.Properties, name)
	schema.Required = slices.DeleteFunc(schema.Required, func(required string) bool { return required == name })
}
