package httpapi

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"homeroom/hosted"
	"homeroom/internal/problem"
	"homeroom/messages"
)

// oauthProviders are the names of the OAuth providers in requests. An operator configures their names at the identity
// provider.
var oauthProviders = []string{"google", "github", "gitlab", "azure-ad", "slack"}

// OAuthProviders returns the names of the providers that [Config.OAuth] may have.
func OAuthProviders() []string { return slices.Clone(oauthProviders) }

// oAuthStart describes the start of a sign-up by OAuth.
type oAuthStart struct {
	Provider    oauthProvider `json:"provider" doc:"The provider of the person's account. A service may offer only some of them." example:"google"`
	CallbackURL string        `json:"callbackUrl,omitempty" maxLength:"500" doc:"Where the browser goes in the end: an address that the service allows, or its path." example:"/dashboard"`
}

// retryHosted is a sensible time to wait for a provider that does not answer.
const retryHosted = 5 * time.Second

// OAuthAnswer tells where the browser must go.
type OAuthAnswer struct {
	Success bool      `json:"success" doc:"true"`
	Data    OAuthData `json:"data" doc:"Where to."`
}

// OAuthData is where the browser must go.
type OAuthData struct {
	AuthorizationURL string `json:"authorizationUrl" doc:"Send the browser there. It must have taken the cookie of this answer."`
}

// startOAuth begins a sign-up on the pages of the identity provider, at the provider that was asked for.
func (s *server) startOAuth(ctx context.Context, o *object) (*authSignupOutput, error) {
	provider, callback := o.text("provider"), o.text("callbackUrl")
	wrong := o.end()
	connection, offered := s.cfg.OAuth[provider]
	returnTo, allowed := s.callback(callback)
	read := func(field string) bool {
		for _, problem := range wrong {
			if problem.Field == field {
				return false
			}
		}
		return true
	}
	switch {
	case !read("provider"):
	case provider == "":
		wrong = append(wrong, problem.Field{Field: "provider", Code: "required", Message: messages.ID("field.provider_is_required")})
	case !offered:
		wrong = append(wrong, problem.Field{Field: "provider", Code: "invalid_choice", Message: messages.ID("field.provider_unknown")})
	}
	if read("callbackUrl") && !allowed {
		wrong = append(wrong, problem.Field{Field: "callbackUrl", Code: "not_allowed", Message: messages.ID("field.address_not_allowed")})
	}
	if len(wrong) > 0 {
		return nil, problem.Invalid(wrong...)
	}
	if err := s.take(ctx, "oauth", s.cfg.OAuthRate); err != nil {
		return nil, err
	}
	browser, _ := ctx.Value(browserKey{}).(*http.Request)
	started, err := s.cfg.Hosted.Start(browser.WithContext(ctx), hosted.Options{Connection: connection, ReturnTo: returnTo})
	if err != nil {
		return nil, hostedProblem(err)
	}
	return &authSignupOutput{
		Status: http.StatusOK, SetCookie: started.Cookies,
		Body: OAuthAnswer{Success: true, Data: OAuthData{AuthorizationURL: started.URL}},
	}, nil
}

// callback is the address to which a browser is sent on in the end. A path is one of an origin that is allowed. Either way
// the whole address must be allowed, so that nobody can be sent elsewhere through us.
func (s *server) callback(asked string) (address string, allowed bool) {
	if s.cfg.Hosted == nil {
		return "", true // the provider is not offered then, which is said
	}
	candidates := []string{asked}
	if strings.HasPrefix(asked, "/") {
		candidates = nil
		for _, origin := range s.cfg.Hosted.ReturnOrigins() {
			candidates = append(candidates, origin+asked)
		}
	}
	for _, candidate := range candidates {
		if address, err := s.cfg.Hosted.ReturnURL(candidate); err == nil {
			return address, true
		}
	}
	return "", false
}

// hostedProblem words what may go wrong when a registration is begun.
func hostedProblem(err error) error {
	var option *hosted.OptionError
	switch {
	case errors.Is(err, hosted.ErrReturnURL):
		return problem.Invalid(problem.Field{Field: "callbackUrl", Code: "not_allowed", Message: messages.ID("field.address_not_allowed")})
	case errors.As(err, &option):
		return problem.Invalid(problem.Field{Field: "provider", Code: "invalid_choice", Message: messages.ID("field.provider_unknown")}).WithCause(err)
	}
	return problem.New(problem.IdentityUnavailable, messages.ID("detail.identity_now")).WithRetryAfter(retryHosted).WithCause(err)
}
