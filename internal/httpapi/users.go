package httpapi

import (
	"context"
	"errors"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"homeroom/catalog"
	"homeroom/internal/secret"
	"homeroom/signup"
)

// largestBody is how many bytes a request's body may have. huma refuses a body that fills what it reads, hence the one.
const largestBody = 16<<10 + 1

// newUser is the body of POST /users. It reads itself, so that everything that is wrong with it is told at once; the tags
// describe it for the OpenAPI document.
type newUser struct {
	Email      string        `json:"email" format:"email" maxLength:"254" doc:"The address to log in with. Trimmed, and brought to lower case." example:"ada@lincoln.example"`
	Password   secret.String `json:"password" format:"password" minLength:"8" maxLength:"72" writeOnly:"true" doc:"8 to 72 bytes. The identity provider may ask for more; its message is passed on." example:"Chalk-and-Cheese-42"`
	SchoolName string        `json:"schoolName" minLength:"2" maxLength:"100" doc:"The school's name, in any script." example:"Lincoln High"`
	GivenName  string        `json:"givenName,omitempty" minLength:"1" maxLength:"100" doc:"As the person writes it." example:"Ada"`
	FamilyName string        `json:"familyName,omitempty" minLength:"1" maxLength:"100" doc:"As the person writes it." example:"Lovelace"`
	Name       string        `json:"name,omitempty" minLength:"2" maxLength:"100" doc:"The whole name, as the person writes it." example:"Ada Lovelace"`

	wrong []FieldProblem
}

// UnmarshalJSON takes the members one by one. What is wrong with them is kept for the handler; only something other than
// an object is an error here.
func (u *newUser) UnmarshalJSON(text []byte) error {
	o, err := readObject(text)
	if err != nil {
		return err
	}
	u.Email = o.text("email")
	u.Password = secret.String(o.text("password"))
	u.SchoolName = o.text("schoolName")
	u.GivenName = o.text("givenName")
	u.FamilyName = o.text("familyName")
	u.Name = o.text("name")
	u.wrong = o.end()
	return nil
}

type postUserInput struct {
	IdempotencyKey string   `header:"Idempotency-Key" minLength:"16" maxLength:"255" pattern:"^[!-~]+$" doc:"Makes a repetition of the request the same request: it is carried out once, and answered with the same result. Use a random UUID for each new request." example:"5f0c6f0e-5d4b-4f57-9a43-7d1c4f6a2b10"`
	Prefer         []string `header:"Prefer" doc:"respond-async answers as soon as the work is sure to be done, rather than when it is done, where a database must be built." example:"respond-async"`
	Body           newUser
}

type postUserOutput struct {
	Status            int
	Location          string `header:"Location" doc:"Where the sign-up can be looked at." example:"/signups/8c1f5a0e-3b0d-4c1e-9d2a-6f0b7c8d9e10"`
	PreferenceApplied string `header:"Preference-Applied" doc:"respond-async, where it made a difference."`
	RateHeaders
	Body any
}

// Accepted is the answer to a sign-up that goes on.
type Accepted struct {
	SignupID uuid.UUID      `json:"signupId" doc:"Find it at /signups/{id}."`
	Status   catalog.Status `json:"status" doc:"How far it is." example:"provisioning"`
}

// postUser signs a school up.
func (s *server) postUser(ctx context.Context, in *postUserInput) (*postUserOutput, error) {
	async := preferAsync(in.Prefer)
	req := signup.Request{
		Email: in.Body.Email, Password: in.Body.Password, SchoolName: in.Body.SchoolName,
		GivenName: in.Body.GivenName, FamilyName: in.Body.FamilyName, Name: in.Body.Name,
		IdempotencyKey: in.IdempotencyKey, Async: async,
	}
	if err := s.validateUser(req, in.Body.wrong); err != nil {
		return nil, err
	}
	if err := s.takeSignup(ctx, req.IdempotencyKey); err != nil {
		return nil, err
	}
	outcome, err := s.cfg.Signup.Begin(ctx, req)
	if err != nil {
		return nil, err
	}
	out := &postUserOutput{
		Status: http.StatusCreated, Location: "/signups/" + outcome.SignupID.String(), Body: outcome.Result,
	}
	if outcome.Result == nil {
		out.Status = http.StatusAccepted
		out.Body = Accepted{SignupID: outcome.SignupID, Status: outcome.Status}
		if async {
			out.PreferenceApplied = "respond-async"
		}
	}
	return out, nil
}

// validateUser puts what could not be read and what must not be together, one problem for a field.
func (s *server) validateUser(req signup.Request, wrong []FieldProblem) error {
	all := slices.Clone(wrong)
	_, err := req.Normalise(s.cfg.Signup.Rules())
	var invalid *signup.ValidationError
	if errors.As(err, &invalid) {
		for _, field := range fieldProblems(invalid.Fields) {
			known := func(other FieldProblem) bool { return other.Field == field.Field }
			if !slices.ContainsFunc(wrong, known) {
				all = append(all, field)
			}
		}
	}
	if len(all) > 0 {
		return invalidFields(all...)
	}
	return err
}

// preferAsync reads the Prefer header (RFC 7240).
func preferAsync(values []string) bool {
	for _, value := range values {
		for preference := range strings.SplitSeq(value, ",") {
			name, _, _ := strings.Cut(preference, ";")
			if strings.EqualFold(strings.TrimSpace(name), "respond-async") {
				return true
			}
		}
	}
	return false
}

// requireJSON refuses a body of another kind before it is read. A page of another origin can send text/plain without the
// browser asking us first; application/json it cannot.
func (s *server) requireJSON(ctx huma.Context, next func(huma.Context)) {
	if ctx.Operation().RequestBody.Required || requestOf(ctx.Context()).hasBody {
		kind, parameters, err := mime.ParseMediaType(ctx.Header("Content-Type"))
		charset, named := parameters["charset"]
		if err != nil || kind != "application/json" || (named && !strings.EqualFold(charset, "utf-8")) {
			_ = huma.WriteErr(s.api, ctx, http.StatusUnsupportedMediaType, "") // the caller may be gone
			return
		}
	}
	next(ctx)
}
