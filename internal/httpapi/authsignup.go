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

// authSignupPath is the sign-up for clients that were written for common authentication services. docs/signup-api.md
// describes its answers, and the differences from POST /users, which does the work.
const authSignupPath = "/api/auth/sign-up"

func (s *server) registerAuthSignup() {
	register(s, anyone, huma.Operation{
		OperationID: "authSignUp", Method: http.MethodPost, Path: authSignupPath, Tags: []string{tagSignup},
		Summary: "Sign a person up, in the format of common authentication services",
		Description: "Does what `POST /users` does, with the members, answers and errors that clients of such services expect: every answer has `success`, and errors are in `error`. " +
			"With `provider` instead of an e-mail address, the answer is the address where the browser signs up (OAuth).",
		DefaultStatus:      http.StatusCreated,
		SkipValidateParams: true, // the handler validates, and reports all errors at once
		Errors:             []int{http.StatusForbidden, http.StatusConflict, http.StatusTooManyRequests, http.StatusServiceUnavailable},
		Metadata:           flags(flagEnvelope, beginsSignup),
		Middlewares:        huma.Middlewares{withBrowser},
		Responses:          s.authResponses(),
	}, s.postAuthSignup)
}

// authResponses are the successful answers.
func (s *server) authResponses() map[string]*huma.Response {
	schemas := s.api.OpenAPI().Components.Schemas
	answer := func(text string, t reflect.Type) *huma.Response {
		return &huma.Response{Description: text, Content: map[string]*huma.MediaType{
			"application/json": {Schema: schemas.Schema(t, true, "")},
		}}
	}
	return map[string]*huma.Response{
		"200": answer("The address where the browser signs up (OAuth).", reflect.TypeFor[OAuthAnswer]()),
		"201": answer("The account and its school are ready.", reflect.TypeFor[AuthAnswer]()),
		"202": answer("The sign-up continues, or waits for a person: see `/signups/{id}`.", reflect.TypeFor[AuthAccepted]()),
	}
}

type browserKey struct{}

// withBrowser passes the HTTP request to the handler, which needs its cookies: they hold the browser's earlier
// registrations.
func withBrowser(ctx huma.Context, next func(huma.Context)) {
	next(huma.WithValue(ctx, browserKey{}, humagin.Unwrap(ctx).Request))
}

type authSignupInput struct {
	IdempotencyKey string  `header:"Idempotency-Key" minLength:"16" maxLength:"255" pattern:"^[!-~]+$" doc:"A repetition with the same key is answered like the first request, as for POST /users."`
	AcceptLanguage string  `header:"Accept-Language" doc:"The languages that the person reads, for the mails." example:"de, en;q=0.8"`
	Body           account `doc:"An account with a password, or the start of one by OAuth."`
}

type authSignupOutput struct {
	Status    int
	Location  string         `header:"Location" doc:"The URL of the sign-up."`
	Replayed  string         `header:"Idempotent-Replayed" doc:"true for a repetition of an earlier request, as for POST /users."`
	SetCookie []*http.Cookie `header:"Set-Cookie" doc:"Cookies that the browser must send when it comes back from the provider (OAuth)."`
	RateHeaders
	Body any
}

// AuthUser is the person who has signed up.
type AuthUser struct {
	ID            string    `json:"id" pattern:"^usr_" doc:"usr_ and the person's id in the rest of the API." example:"usr_0199c1b0-7d2e-7aa0-b9a1-0f6f3c1e2d4b"`
	Email         string    `json:"email" doc:"The normalised e-mail address." example:"john@acme.example"`
	Name          string    `json:"name" doc:"As the person wrote it." example:"John Doe"`
	EmailVerified bool      `json:"emailVerified" doc:"Whether the person has confirmed the address."`
	CreatedAt     time.Time `json:"createdAt" doc:"When the person signed up."`
}

// AuthOrganization is the person's school.
type AuthOrganization struct {
	ID   string `json:"id" pattern:"^org_" doc:"org_ and the school's id in the rest of the API." example:"org_0199c1b0-7d2e-7aa0-b9a1-0f6f3c1e2d4c"`
	Name string `json:"name" doc:"Its name; a generated one if the request had none." example:"Acme Inc"`
	Slug string `json:"slug" doc:"Its short name for URLs." example:"acme-inc"`
}

// AuthData is a new account with its school.
type AuthData struct {
	User         AuthUser         `json:"user" doc:"The person."`
	Session      *AuthSession     `json:"session,omitempty" doc:"Only if the service logs people in after a sign-up, and that succeeded."`
	Organization AuthOrganization `json:"organization" doc:"The person's school: every account has one."`
}

// AuthAnswer is the answer for an account that is ready.
type AuthAnswer struct {
	Success bool     `json:"success" doc:"true"`
	Data    AuthData `json:"data" doc:"The new account."`
	Message string   `json:"message" doc:"For people." example:"Account created successfully"`
}

// AuthSignup is a sign-up that continues.
type AuthSignup struct {
	ID     uuid.UUID      `json:"id" doc:"Its id, for /signups/{id}."`
	Status catalog.Status `json:"status" doc:"Its status." example:"awaiting_verification"`
}

// AuthPending is the data of an account that is not ready.
type AuthPending struct {
	Signup AuthSignup `json:"signup" doc:"The sign-up."`
}

// AuthAccepted is the answer for an account that is not ready yet.
type AuthAccepted struct {
	Success bool        `json:"success" doc:"true"`
	Data    AuthPending `json:"data" doc:"The sign-up."`
	Message string      `json:"message" doc:"For people." example:"Follow the link in the mail."`
}

// postAuthSignup signs a person up, or starts the sign-up.
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
