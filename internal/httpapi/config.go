package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"homeroom/admission"
	"homeroom/catalog"
	"homeroom/fleet"
	"homeroom/hosted"
	"homeroom/identity"
	"homeroom/internal/jwks"
	"homeroom/lifecycle"
	"homeroom/messages"
	"homeroom/signup"
	"homeroom/tenant"
	"homeroom/webhook"
)

// Config configures the API.
type Config struct {
	// Signup signs schools up and provisions tenants again. Required.
	Signup *signup.Service
	// Catalog is the catalog. Required.
	Catalog *catalog.Store
	// Admission begins sign-ups. Required.
	Admission *admission.Admission
	// Fleet plans and starts runs over all tenants. Required.
	Fleet *fleet.Fleet
	// Servers report the size of a tenant's database. Required.
	Servers tenant.Servers
	// Queue enqueues the job that completes an interrupted rotation. Required.
	Queue lifecycle.Queue
	// Pools open schools' databases with the schools' own roles. Required.
	Pools *tenant.Pools
	// Webhooks notifies external programs of events. Required.
	Webhooks *webhook.Service
	// Issuer is the issuer of the access tokens, with its closing slash. Required.
	Issuer string
	// JWKSURL is the URL of the issuer's keys. Defaults to Issuer + ".well-known/jwks.json".
	JWKSURL string
	// KeysMaxAge is the longest time that the issuer's keys are cached. Defaults to 5 minutes.
	KeysMaxAge time.Duration
	// Audience identifies this API in the access tokens. Required.
	Audience string
	// Sessions, if not nil, logs people in after they have signed up at /api/auth/sign-up. Defaults to none.
	Sessions identity.SessionOpener
	// OAuth maps google, github, gitlab, azure-ad and slack, as /api/auth/sign-up calls them, to the provider's own
	// names of the connections. The sign-up continues on the pages of Hosted. Defaults to none.
	OAuth map[string]string
	// OAuthRate is how often one client address may start that. Defaults to no limit.
	OAuthRate *catalog.Allowance
	// Hosted is the identity provider on whose pages sign-ups by OAuth continue. Required with OAuth.
	Hosted *hosted.Provider
	// TrustedProxies are the networks of proxies whose X-Forwarded-For is used. Defaults to none.
	TrustedProxies []netip.Prefix
	// AllowedOrigins are the origins of web pages that may call the API, such as https://app.lincoln.example.
	// Defaults to none.
	AllowedOrigins []string
	// Ready reports whether the service can work, for /readyz. Defaults to a query of the catalog.
	Ready func(ctx context.Context) error
	// Texts are the texts for people, in their languages. Defaults to the built-in texts.
	Texts *messages.Texts
	// Pages, if not nil, adds the pages for people. Defaults to none.
	Pages func(gin.IRouter)
	// PublicURL is the URL of the API for people and programs, without a closing slash, such as
	// https://homeroom.lincoln.example. Defaults to the address at which a caller has read a document.
	PublicURL string
	// Version is the version of the program, for the OpenAPI document. Defaults to "dev".
	Version string
	// Logger logs one line per request, with the cause of each failure. Defaults to slog.Default().
	Logger *slog.Logger
	// PollEvery is how often an event stream checks for a change. Defaults to 300 ms.
	PollEvery time.Duration
}

func (c Config) withDefaults() Config {
	if c.JWKSURL == "" {
		c.JWKSURL = c.Issuer + ".well-known/jwks.json"
	}
	if c.KeysMaxAge == 0 {
		c.KeysMaxAge = jwks.DefaultMaxAge
	}
	if c.Ready == nil && c.Catalog != nil {
		c.Ready = c.Catalog.Ping
	}
	if c.Version == "" {
		c.Version = "dev"
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.PollEvery == 0 {
		c.PollEvery = 300 * time.Millisecond
	}
	return c
}

func (c Config) validate() error {
	switch {
	case c.Signup == nil || c.Catalog == nil || c.Admission == nil || c.Fleet == nil ||
		c.Pools == nil || c.Webhooks == nil || c.Queue == nil || len(c.Servers) == 0:
		return errors.New("the API needs sign-ups, a catalog, an admission, a fleet, servers, a queue, pools and webhooks")
	case c.Issuer == "" || c.Audience == "":
		return errors.New("the API needs the issuer and the audience of access tokens")
	case c.OAuthRate != nil && (c.OAuthRate.Count < 1 || c.OAuthRate.Window < time.Second):
		return errors.New("the rate of OAuth sign-ups must allow at least one, in a second or more")
	case len(c.OAuth) > 0 && c.Hosted == nil:
		return errors.New("sign-ups by OAuth need the pages of an identity provider")
	}
	for provider := range c.OAuth {
		if !slices.Contains(oauthProviders, provider) {
			return fmt.Errorf("%q is not a provider of OAuth sign-ups: use %s", provider, strings.Join(oauthProviders, ", "))
		}
	}
	return validOrigins(c.AllowedOrigins)
}
