package httpapi

import (
	"cmp"
	"context"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"
	"github.com/google/uuid"

	"homeroom/catalog"
	"homeroom/internal/secret"
	"homeroom/signup"
)

// authSignupPath is where programs sign up that were written for services with a login of their own. docs/signup-api.md
// tells what they are told, and where it differs from POST /users, which does the work.
const authSignupPath = "/api/auth/sign-up"

func (s *server) registerAuthSignup() {
	register(s, anyone, huma.Operation{
		OperationID: "authSignUp", Method: http.MethodPost, Path: authSignupPath, Tags: []string{tagSignup},
		Summary: "Sign a person up, in the words of common authentication services",
		Description: "Does what `POST /users` does, with the members, answers and errors that clients of such services expect: every answer has `success`, and errors are in `error`. " +
			"With `provider` instead of an e-mail address, it answers where the browser must go to sign up there (OAuth).",
		DefaultStatus:      http.StatusCreated,
		SkipValidateParams: true, // done by the handler, which tells everything at once
		Errors:             []int{http.StatusForbidden, http.StatusConflict, http.StatusTooManyRequests, http.StatusServiceUnavailable},
		Metadata:           flags(flagEnvelope, beginsSignup),
		Middlewares:        huma.Middlewares{withBrowser},
		Responses:          s.authResponses(),
	}, s.postAuthSignup)
}

// authResponses are the good answers.
func (s *server) authResponses() map[string]*huma.Response {
	schemas := s.api.OpenAPI().Components.Schemas
	answer := func(text string, t reflect.Type) *huma.Response {
		return &huma.Response{Description: text, Content: map[string]*huma.MediaType{
			"application/json": {Schema: schemas.Schema(t, true, "")},
		}}
	}
	return map[string]*huma.Response{
		"200": answer("Where the browser must go (OAuth).", reflect.TypeFor[OAuthAnswer]()),
		"201": answer("The account and its school are ready.", reflect.TypeFor[AuthAnswer]()),
		"202": answer("The work goes on, or waits for somebody: look at `/signups/{id}`.", reflect.TypeFor[AuthAccepted]()),
	}
}

type browserKey struct{}

// withBrowser keeps the plain request for the handler: the cookies in it are the browser's earlier registrations.
func withBrowser(ctx huma.Context, next func(huma.Context)) {
	next(huma.WithValue(ctx, browserKey{}, humagin.Unwrap(ctx).Request))
}

type authSignupInput struct {
	IdempotencyKey string  `header:"Idempotency-Key" minLength:"16" maxLength:"255" pattern:"^[!-~]+$" doc:"Makes a repetition of the request the same request, as for POST /users."`
	AcceptLanguage string  `header:"Accept-Language" doc:"The languages that the person reads, for the mails." example:"de, en;q=0.8"`
	Body           account `doc:"An account with a password, or the beginning of one by OAuth."`
}

type authSignupOutput struct {
	Status    int
	Location  string         `header:"Location" doc:"Where the sign-up can be looked at."`
	Replayed  string         `header:"Idempotent-Replayed" doc:"true for a repetition of an earlier request, as for POST /users."`
	SetCookie []*http.Cookie `header:"Set-Cookie" doc:"What the browser must bring back from the provider (OAuth)."`
	RateHeaders
	Body any
}

// AuthUser is the person who has signed up.
type AuthUser struct {
	ID            string    `json:"id" pattern:"^usr_" doc:"usr_ and the id that the rest of the API knows." example:"usr_0199c1b0-7d2e-7aa0-b9a1-0f6f3c1e2d4b"`
	Email         string    `json:"email" doc:"In the one spelling that counts." example:"john@acme.example"`
	Name          string    `json:"name" doc:"As the person wrote it." example:"John Doe"`
	EmailVerified bool      `json:"emailVerified" doc:"Whether the person has shown that the address is theirs."`
	CreatedAt     time.Time `json:"createdAt" doc:"When the person signed up."`
}

// AuthOrganization is the person's school.
type AuthOrganization struct {
	ID   string `json:"id" pattern:"^org_" doc:"org_ and the id that the rest of the API knows." example:"org_0199c1b0-7d2e-7aa0-b9a1-0f6f3c1e2d4c"`
	Name string `json:"name" doc:"Its name; one of our making where none was asked for." example:"Acme Inc"`
	Slug string `json:"slug" doc:"The name by which people find it." example:"acme-inc"`
}

// AuthData is what a new account comes to.
type AuthData struct {
	User         AuthUser         `json:"user" doc:"The person."`
	Session      *AuthSession     `json:"session,omitempty" doc:"There where the service logs people in who have signed up, and that worked."`
	Organization AuthOrganization `json:"organization" doc:"The person's school: every account has one."`
}

// AuthAnswer tells of an account that is ready.
type AuthAnswer struct {
	Success bool     `json:"success" doc:"true"`
	Data    AuthData `json:"data" doc:"What was made."`
	Message string   `json:"message" doc:"For people." example:"Account created successfully"`
}

// AuthSignup is a sign-up that goes on.
type AuthSignup struct {
	ID     uuid.UUID      `json:"id" doc:"Find it at /signups/{id}."`
	Status catalog.Status `json:"status" doc:"How far it is." example:"awaiting_verification"`
}

// AuthPending is what is known of an account that is not ready.
type AuthPending struct {
	Signup AuthSignup `json:"signup" doc:"The sign-up."`
}

// AuthAccepted tells of an account that is not ready yet.
type AuthAccepted struct {
	Success bool        `json:"success" doc:"true"`
	Data    AuthPending `json:"data" doc:"What goes on."`
	Message string      `json:"message" doc:"For people." example:"Follow the link in the mail."`
}

// postAuthSignup signs somebody up, or begins to.
func (s *server) postAuthSignup(ctx context.Context, in *authSignupInput) (*authSignupOutput, error) {
	if in.Body.members.has("provider") || in.Body.members.has("callbackUrl") {
		out, err := s.startOAuth(ctx, in.Body.members)
		return out, enveloped(err)
	}
	who := s.accountApplicant(in)
	outcome, err := s.admit(ctx, who)
	if err != nil {
		return nil, enveloped(withAuthMessages(err))
	}
	out := &authSignupOutput{Status: http.StatusCreated, Location: "/signups/" + outcome.SignupID.String()}
	if outcome.Repeated {
		out.Replayed = "true"
	}
	if outcome.Result == nil {
		out.Status = http.StatusAccepted
		out.Body = AuthAccepted{
			Success: true, Message: cmp.Or(s.nextStep(ctx, outcome.Status), pendingMessage(outcome.Status)),
			Data: AuthPending{AuthSignup{ID: outcome.SignupID, Status: outcome.Status}},
		}
		return out, nil
	}
	out.Body = AuthAnswer{Success: true, Message: "Account created successfully", Data: s.authData(ctx, who.Request.Password, outcome.Result)}
	return out, nil
}

func pendingMessage(status catalog.Status) string {
	if status == catalog.AwaitingApproval {
		return "Account awaits approval"
	}
	return "Account is being created"
}

func (s *server) authData(ctx context.Context, password secret.String, result *signup.Result) AuthData {
	return AuthData{
		User: AuthUser{
			ID: "usr_" + result.User.ID.String(), Email: result.User.Email, Name: result.User.Name,
			EmailVerified: result.User.EmailVerified, CreatedAt: result.User.CreatedAt,
		},
		Session: s.openSession(ctx, password, result),
		Organization: AuthOrganization{
			ID: "org_" + result.School.ID.String(), Name: result.School.Name, Slug: result.School.Slug,
		},
	}
}
