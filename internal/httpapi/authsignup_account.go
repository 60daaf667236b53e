package httpapi

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"homeroom/internal/secret"
	"homeroom/signup"
)

// account is the body of a sign-up at /api/auth/sign-up: a passwordAccount or an oAuthStart. The handler, which knows what
// is asked for, takes its members.
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

// passwordAccount describes an account with a password. What is not asked for here is left out (see askedOnly).
type passwordAccount struct {
	Email            string        `json:"email" format:"email" maxLength:"254" doc:"The address to log in with." example:"john@acme.example"`
	Password         secret.String `json:"password" format:"password" minLength:"8" maxLength:"72" writeOnly:"true" doc:"8 to 72 bytes, with an upper-case letter, a digit and a special character." example:"securePassword123!"`
	Name             string        `json:"name" minLength:"2" maxLength:"100" doc:"The whole name, as the person writes it." example:"John Doe"`
	OrganizationName string        `json:"organizationName,omitempty" minLength:"2" maxLength:"100" doc:"The school's name; one is made of the person's where it is left out." example:"Acme Inc"`
	GivenName        string        `json:"givenName,omitempty" minLength:"1" maxLength:"100" doc:"As the person writes it."`
	FamilyName       string        `json:"familyName,omitempty" minLength:"1" maxLength:"100" doc:"As the person writes it."`
	Company          string        `json:"company,omitempty" maxLength:"200" doc:"Who the person works for."`
	Phone            string        `json:"phone,omitempty" doc:"A telephone number with its country code."`
	Address          string        `json:"address,omitempty" maxLength:"200" doc:"Street and number."`
	Region           string        `json:"region,omitempty" maxLength:"200" doc:"State, county or canton."`
	Locality         string        `json:"locality,omitempty" maxLength:"200" doc:"Town."`
	PostalCode       string        `json:"postalCode,omitempty" maxLength:"200" doc:"As the post has it."`
	CaptchaToken     string        `json:"captchaToken" maxLength:"8192" doc:"What the CAPTCHA's widget has made."`
}

// authNewcomer reads an account with a password.
func (s *server) authNewcomer(in *authSignupInput) newcomer {
	var n newcomer
	o, fields := in.Body.members, s.cfg.Signup.Rules().Fields
	n.request.Email = o.text("email")
	s.takeAsked(o, &n)
	n.request.Name = o.text("name")
	n.request.SchoolName = o.text("organizationName")
	if fields["givenName"] != "" {
		n.request.GivenName = o.text("givenName")
	}
	if fields["familyName"] != "" {
		n.request.FamilyName = o.text("familyName")
	}
	if strings.TrimSpace(n.request.SchoolName) == "" {
		n.request.SchoolName = schoolOf(n.request.Name)
	}
	n.request.IdempotencyKey, n.request.Locale = in.IdempotencyKey, locale(in.AcceptLanguage)
	n.wrong = o.end()
	return n
}

// schoolOf names a school after its owner, where nobody has named it. Every sign-up makes a school.
func schoolOf(name string) string {
	const behind, longest = "'s school", 100
	runes := []rune(strings.TrimSpace(name))
	return strings.TrimSpace(string(runes[:min(len(runes), longest-len(behind))])) + behind
}

// validateAccount tells everything that is wrong with an account, each broken rule of the password by itself.
func (s *server) validateAccount(req signup.Request, wrong []FieldProblem) error {
	all, err := s.allWrong(req, wrong)
	if err != nil {
		return err
	}
	told := map[string]bool{}
	for _, problem := range wrong {
		told[problem.Field] = true
	}
	var kept []FieldProblem
	for _, problem := range all {
		if problem.Field == "password" && !told["password"] && !s.cfg.Signup.Rules().NoPassword && problem.Code != "too_long" && problem.Code != "invalid_characters" {
			continue // said in the words of these rules below
		}
		kept = append(kept, problem)
	}
	if !told["password"] && !s.cfg.Signup.Rules().NoPassword {
		kept = append(kept, brokenRules(req.Password.Reveal())...)
	}
	if strings.TrimSpace(req.Name) == "" && !told["name"] {
		kept = append(kept, FieldProblem{"name", "required", "Name is required"})
	}
	if len(kept) > 0 {
		return invalidFields(kept...)
	}
	return nil
}

// brokenRules are the rules that a password does not keep.
func brokenRules(password string) []FieldProblem {
	if password == "" {
		return []FieldProblem{{"password", "required", "Password is required"}}
	}
	special := func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsSpace(r)
	}
	var broken []FieldProblem
	for _, rule := range []struct {
		kept   bool
		broken FieldProblem
	}{
		{utf8.RuneCountInString(password) >= 8, FieldProblem{"password", "too_short", "Password must be at least 8 characters"}},
		{
			strings.ContainsFunc(password, unicode.IsUpper),
			FieldProblem{"password", "no_upper_case", "Password must contain at least one uppercase letter"},
		},
		{strings.ContainsFunc(password, unicode.IsDigit), FieldProblem{"password", "no_digit", "Password must contain at least one number"}},
		{
			strings.ContainsFunc(password, special),
			FieldProblem{"password", "no_special", "Password must contain at least one special character"},
		},
	} {
		if !rule.kept {
			broken = append(broken, rule.broken)
		}
	}
	return broken
}

// inAuthWords names fields as this operation does. Only here is a school an organization.
func inAuthWords(err error) error {
	var problem *Problem
	if !errors.As(err, &problem) {
		problem = problemOf(err)
	}
	for i, field := range problem.Errors {
		if field.Field == "schoolName" && field.Code != "unknown_field" {
			problem.Errors[i].Field = "organizationName"
		}
	}
	return problem
}
