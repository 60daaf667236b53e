package httpapi

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"homeroom/admission"
	"homeroom/identity"
	"homeroom/internal/problem"
	"homeroom/messages"
	"homeroom/signup"
)

// registerNewSchools adds the operations for people who have an account. The proof of ownership is their own access
// token; an e-mail address or a password would not be enough.
func (s *server) registerNewSchools() {
	errors := []int{http.StatusForbidden, http.StatusConflict, http.StatusServiceUnavailable}
	register(s, anyUser, huma.Operation{
		OperationID: "signUpSchool", Method: http.MethodPost, Path: "/schools", Tags: []string{tagSignup},
		Metadata: flags(beginsSignup),
		Summary:  "Sign a school up with an existing account",
		Description: "The account of the access token becomes the owner of a new school. An account that already has a school is refused. " +
			"The answers are those of `POST /users`.",
		DefaultStatus:      http.StatusCreated,
		SkipValidateParams: true, // the handler validates, and reports all errors at once
		Errors:             errors,
		Responses:          s.signupResponses(),
	}, s.postSchool)
	register(s, anyUser, huma.Operation{
		OperationID: "acceptInvitation", Method: http.MethodPost, Path: "/invitations/accept", Tags: []string{tagSignup},
		Metadata: flags(beginsSignup),
		Summary:  "Accept an invitation with an existing account",
		Description: "The account of the access token joins the school. Its e-mail address must be the invited one. People without an account send " +
			"`invitation` with `POST /users` instead.",
		DefaultStatus:      http.StatusCreated,
		SkipValidateParams: true,
		Errors:             append(errors, http.StatusGone),
		Responses:          s.signupResponses(),
	}, s.postAcceptance)
	s.registerConfirmation()
}

// PersonFields are the fields of a person in a body. Fields that are not configured are left out of the document, and
// refused. It is exported, since huma does not read unexported embedded structs.
type PersonFields struct {
	GivenName  string `json:"givenName,omitempty" minLength:"1" maxLength:"100" doc:"As the person writes it." example:"Ada"`
	FamilyName string `json:"familyName,omitempty" minLength:"1" maxLength:"100" doc:"As the person writes it." example:"Lovelace"`
	Name       string `json:"name,omitempty" minLength:"2" maxLength:"100" doc:"The whole name, as the person writes it." example:"Ada Lovelace"`
	Company    string `json:"company,omitempty" maxLength:"200" doc:"The company that the person works for." example:"Lincoln School Trust"`
	Phone      string `json:"phone,omitempty" doc:"A telephone number with its country code." example:"+441632960961"`
	Address    string `json:"address,omitempty" maxLength:"200" doc:"Street and number." example:"12 Chalk Lane"`
	Region     string `json:"region,omitempty" maxLength:"200" doc:"State, county or canton." example:"Kent"`
	Locality   string `json:"locality,omitempty" maxLength:"200" doc:"Town." example:"Lincoln"`
	PostalCode string `json:"postalCode,omitempty" maxLength:"200" doc:"The postal code." example:"LN1 1AA"`
}

// takePerson reads those members.
func (s *server) takePerson(o *object, req *signup.Request) {
	req.GivenName, req.FamilyName, req.Name = o.text("givenName"), o.text("familyName"), o.text("name")
	req.Profile = s.takeProfile(o)
}

// newSchool is the body of POST /schools.
type newSchool struct {
	SchoolName string `json:"schoolName" minLength:"2" maxLength:"100" doc:"The school's name, in any script." example:"Lincoln High"`
	PersonFields

	members *object
}

// UnmarshalJSON splits the object. The handler, which knows the configured fields, reads the members one by one.
func (n *newSchool) UnmarshalJSON(text []byte) (err error) {
	n.members, err = readObject(text)
	return err
}

// LoginHeaders are the headers of a request that begins a sign-up with an existing account.
type LoginHeaders struct {
	IdempotencyKey string   `header:"Idempotency-Key" minLength:"16" maxLength:"255" pattern:"^[!-~]+$" doc:"A repetition with the same key is answered like the first request."`
	Prefer         []string `header:"Prefer" doc:"respond-async answers as soon as the sign-up is recorded." example:"respond-async"`
	AcceptLanguage string   `header:"Accept-Language" doc:"The languages that the person reads, for the mails." example:"de, en;q=0.8"`
}

type postSchoolInput struct {
	LoginHeaders
	Body newSchool
}

func (s *server) postSchool(ctx context.Context, in *postSchoolInput) (*postUserOutput, error) {
	o := in.Body.members
	req := signup.Request{SchoolName: o.text("schoolName")}
	s.takePerson(o, &req)
	return s.beginWithLogin(ctx, in.LoginHeaders, o.end(), req)
}

// acceptance is the body of POST /invitations/accept.
type acceptance struct {
	Invitation string `json:"invitation" minLength:"43" maxLength:"43" doc:"The token in the link of the invitation."`
	SchoolName string `json:"schoolName,omitempty" minLength:"2" maxLength:"100" doc:"The school's name, if the invitation is to sign a school up." example:"Lincoln High"`
	PersonFields

	members *object
}

// UnmarshalJSON splits the object, as newSchool does.
func (a *acceptance) UnmarshalJSON(text []byte) (err error) {
	a.members, err = readObject(text)
	return err
}

type acceptanceInput struct {
	LoginHeaders
	Body acceptance
}

func (s *server) postAcceptance(ctx context.Context, in *acceptanceInput) (*postUserOutput, error) {
	o := in.Body.members
	req := signup.Request{Invitation: o.text("invitation"), SchoolName: o.text("schoolName")}
	s.takePerson(o, &req)
	wrong := o.end()
	if req.Invitation == "" {
		wrong = append(wrong, problem.Field{Field: "invitation", Code: "required", Message: messages.ID("field.invitation_token")})
	}
	return s.beginWithLogin(ctx, in.LoginHeaders, wrong, req)
}

// beginWithLogin begins a sign-up with the account of the access token.
func (s *server) beginWithLogin(ctx context.Context, headers LoginHeaders, wrong []problem.Field, req signup.Request) (*postUserOutput, error) {
	req.Locale, req.IdempotencyKey, req.Async = messages.FirstLanguage(headers.AcceptLanguage), headers.IdempotencyKey, preferAsync(headers.Prefer)
	outcome, err := s.admit(ctx, admission.Applicant{
		EntryPoint: admission.Authenticated, Request: req, Unread: unread(wrong),
		FindAccount: func(ctx context.Context) (identity.User, error) { return s.account(ctx, claimsOf(ctx).Subject) },
	})
	if err != nil {
		return nil, err
	}
	return begun(outcome, req.Async), nil
}

// begun returns the answer to a request that has begun a sign-up.
func begun(outcome signup.Outcome, async bool) *postUserOutput {
	out := &postUserOutput{
		Status: http.StatusCreated, Location: "/signups/" + outcome.SignupID.String(), Body: outcome.Result,
	}
	if outcome.Repeated {
		out.Replayed = "true"
	}
	if outcome.Result == nil {
		out.Status = http.StatusAccepted
		out.Body = Accepted{SignupID: outcome.SignupID, Status: outcome.Status}
		if async {
			out.PreferenceApplied = "respond-async"
		}
	}
	return out
}
