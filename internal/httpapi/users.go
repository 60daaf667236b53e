package httpapi

import (
	"context"
	"mime"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"homeroom/admission"
	"homeroom/catalog"
	"homeroom/internal/secret"
	"homeroom/messages"
)

// maxBodyBytes is the size of a request's body. huma refuses a body that fills its limit, hence one byte more.
const maxBodyBytes = 16<<10 + 1

// newUser is the body of POST /users. It parses itself, so that all errors are reported at once. The tags describe it
// for the OpenAPI document, where fields that are not configured are left out (see keepConfigured).
type newUser struct {
	Email        string        `json:"email" format:"email" maxLength:"254" doc:"The address to log in with. It is trimmed and changed to lower case." example:"ada@lincoln.example"`
	Password     secret.String `json:"password" format:"password" minLength:"8" maxLength:"72" writeOnly:"true" doc:"@password" example:"Chalk-and-Cheese-42"`
	SchoolName   string        `json:"schoolName,omitempty" minLength:"2" maxLength:"100" doc:"The school's name, in any script. Required, unless an invitation names the school." example:"Lincoln High"`
	GivenName    string        `json:"givenName,omitempty" minLength:"1" maxLength:"100" doc:"As the person writes it." example:"Ada"`
	FamilyName   string        `json:"familyName,omitempty" minLength:"1" maxLength:"100" doc:"As the person writes it." example:"Lovelace"`
	Name         string        `json:"name,omitempty" minLength:"2" maxLength:"100" doc:"The whole name, as the person writes it." example:"Ada Lovelace"`
	Invitation   string        `json:"invitation,omitempty" minLength:"43" maxLength:"43" doc:"The token in the link of an invitation."`
	Company      string        `json:"company,omitempty" maxLength:"200" doc:"The company that the person works for." example:"Lincoln School Trust"`
	Phone        string        `json:"phone,omitempty" doc:"A telephone number with its country code." example:"+441632960961"`
	Address      string        `json:"address,omitempty" maxLength:"200" doc:"Street and number." example:"12 Chalk Lane"`
	Region       string        `json:"region,omitempty" maxLength:"200" doc:"State, county or canton." example:"Kent"`
	Locality     string        `json:"locality,omitempty" maxLength:"200" doc:"Town." example:"Lincoln"`
	PostalCode   string        `json:"postalCode,omitempty" maxLength:"200" doc:"The postal code." example:"LN1 1AA"`
	CaptchaToken string        `json:"captchaToken" maxLength:"8192" doc:"@captchaToken" example:"10000000-aaaa-bbbb-cccc-000000000001"`

	members *object
}

// UnmarshalJSON splits the object. The handler, which knows the configured fields, reads the members one by one. Only
// a value that is not an object is an error here.
func (u *newUser) UnmarshalJSON(text []byte) (err error) {
	u.members, err = readObject(text)
	return err
}

// applicant reads the body.
func (s *server) applicant(in *postUserInput) admission.Applicant {
	who, o := admission.Applicant{EntryPoint: admission.Form}, in.Body.members
	req := &who.Request
	req.Email = o.text("email")
	s.takeConfigured(o, &who)
	req.SchoolName = o.text("schoolName")
	req.GivenName, req.FamilyName, req.Name = o.text("givenName"), o.text("familyName"), o.text("name")
	req.Invitation = o.text("invitation")
	req.IdempotencyKey, req.Async, req.Locale = in.IdempotencyKey, preferAsync(in.Prefer), messages.FirstLanguage(in.AcceptLanguage)
	who.Unread = unread(o.end())
	return who
}

type postUserInput struct {
	IdempotencyKey string   `header:"Idempotency-Key" minLength:"16" maxLength:"255" pattern:"^[!-~]+$" doc:"@idempotencyKey" example:"5f0c6f0e-5d4b-4f57-9a43-7d1c4f6a2b10"`
	Prefer         []string `header:"Prefer" doc:"respond-async answers as soon as the sign-up is recorded, if a database must be built." example:"respond-async"`
	AcceptLanguage string   `header:"Accept-Language" doc:"The languages that the person reads, for the mails." example:"de, en;q=0.8"`
	Body           newUser
}

type postUserOutput struct {
	Status            int
	Location          string `header:"Location" doc:"The URL of the sign-up." example:"/signups/8c1f5a0e-3b0d-4c1e-9d2a-6f0b7c8d9e10"`
	PreferenceApplied string `header:"Preference-Applied" doc:"respond-async, if it had an effect."`
	Replayed          string `header:"Idempotent-Replayed" doc:"@replayed"`
	RateHeaders
	Body any
}

// Accepted is the answer to a sign-up that continues.
type Accepted struct {
	SignupID uuid.UUID      `json:"signupId" doc:"Its id, for /signups/{id}."`
	Status   catalog.Status `json:"status" doc:"Its status." example:"provisioning"`
	Message  string         `json:"message,omitempty" doc:"What the person must do next, if the sign-up waits until the e-mail address is confirmed." example:"Follow the link in the mail."`
}

// postUser signs a school up.
func (s *server) postUser(ctx context.Context, in *postUserInput) (*postUserOutput, error) {
	who := s.applicant(in)
	outcome, err := s.admit(ctx, who)
	if err != nil {
		return nil, err
	}
	out := begun(outcome, who.Request.Async)
	if accepted, ok := out.Body.(Accepted); ok {
		accepted.Message = s.nextStep(ctx, outcome.Status)
		out.Body = accepted
	}
	return out, nil
}

// nextStep says what a person must do who has signed up without an account; empty if nothing.
func (s *server) nextStep(ctx context.Context, status catalog.Status) string {
	switch {
	case status != catalog.AwaitingVerification:
		return ""
	case s.cfg.Signup.Rules().NoPassword:
		return requestOf(ctx).Language().Text("next.confirm", nil)
	}
	return requestOf(ctx).Language().Text("next.confirm_password", nil)
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

// requireJSON refuses a body of another type before it is read. A page of another origin can send text/plain without
// a preflight request of the browser, but not application/json.
func (s *server) requireJSON(ctx huma.Context, next func(huma.Context)) {
	if ctx.Operation().RequestBody.Required || requestOf(ctx.Context()).hasBody {
		kind, parameters, err := mime.ParseMediaType(ctx.Header("Content-Type"))
		charset, named := parameters["charset"]
		if err != nil || kind != "application/json" || (named && !strings.EqualFold(charset, "utf-8")) {
			_ = huma.WriteErr(s.api, ctx, http.StatusUnsupportedMediaType, "") // the caller may have disconnected
			return
		}
	}
	next(ctx)
}
