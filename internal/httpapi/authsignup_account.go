package httpapi

import (
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"homeroom/admission"
	"homeroom/internal/problem"
	"homeroom/internal/secret"
	"homeroom/messages"
	"homeroom/signup"
)

// account is the body of a sign-up at /api/auth/sign-up: a passwordAccount or an oAuthStart. The handler, which knows
// the configured fields, reads its members.
type account struct{ members *object }

// UnmarshalJSON splits the object.
func (a *account) UnmarshalJSON(text []byte) (err error) {
	a.members, err = readObject(text)
	return err
}

// Schema implements [huma.SchemaProvider].
func (account) Schema(r huma.Registry) *huma.Schema {
	return &huma.Schema{OneOf: []*huma.Schema{schemaFor[passwordAccount](r), schemaFor[oAuthStart](r)}}
}

// passwordAccount describes an account with a password. Fields that are not configured are left out (see
// keepConfigured).
type passwordAccount struct {
	Email            string        `json:"email" format:"email" maxLength:"254" doc:"The address to log in with." example:"john@acme.example"`
	Password         secret.String `json:"password" format:"password" minLength:"8" maxLength:"72" writeOnly:"true" doc:"@authPassword" example:"securePassword123!"`
	Name             string        `json:"name" minLength:"2" maxLength:"100" doc:"The whole name, as the person writes it." example:"John Doe"`
	OrganizationName string        `json:"organizationName,omitempty" minLength:"2" maxLength:"100" doc:"The school's name; it is generated from the person's name if left out." example:"Acme Inc"`
	GivenName        string        `json:"givenName,omitempty" minLength:"1" maxLength:"100" doc:"As the person writes it."`
	FamilyName       string        `json:"familyName,omitempty" minLength:"1" maxLength:"100" doc:"As the person writes it."`
	Company          string        `json:"company,omitempty" maxLength:"200" doc:"The company that the person works for."`
	Phone            string        `json:"phone,omitempty" doc:"A telephone number with its country code."`
	Address          string        `json:"address,omitempty" maxLength:"200" doc:"Street and number."`
	Region           string        `json:"region,omitempty" maxLength:"200" doc:"State, county or canton."`
	Locality         string        `json:"locality,omitempty" maxLength:"200" doc:"Town."`
	PostalCode       string        `json:"postalCode,omitempty" maxLength:"200" doc:"The postal code."`
	CaptchaToken     string        `json:"captchaToken" maxLength:"8192" doc:"The token of the CAPTCHA widget."`
}

// accountApplicant reads an account with a password. Every sign-up creates a school.
func (s *server) accountApplicant(in *authSignupInput) admission.Applicant {
	who, o, rules := admission.Applicant{EntryPoint: admission.Form}, in.Body.members, s.cfg.Signup.Rules()
	rules.Account = true
	who.Rules = &rules
	req := &who.Request
	req.Email = o.text("email")
	s.takeConfigured(o, &who)
	req.Name = o.text("name")
	req.SchoolName = o.text("organizationName")
	if rules.Fields["givenName"] != "" {
		req.GivenName = o.text("givenName")
	}
	if rules.Fields["familyName"] != "" {
		req.FamilyName = o.text("familyName")
	}
	if strings.TrimSpace(req.SchoolName) == "" {
		req.SchoolName = signup.DefaultSchoolName(req.Name)
	}
	req.IdempotencyKey, req.Locale = in.IdempotencyKey, messages.FirstLanguage(in.AcceptLanguage)
	who.Unread = unread(o.end())
	return who
}

// withAuthMessages uses this operation's names of fields. Only here a school is called an organization.
func withAuthMessages(err error) error {
	return problem.Of(err).RenameField("schoolName", "organizationName", "unknown_field")
}
