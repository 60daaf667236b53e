// Package hosted signs people up on the pages of an identity provider, as an OpenID Connect client.
//
// It works with any provider that publishes its configuration, by the authorization code flow, always with PKCE, a
// state and a nonce. The flow state is stored in an encrypted cookie of the browser, so any process can finish a flow
// that another one began. [Provider.Start] returns the authorization URL and the cookie; [Provider.Finish] checks the
// callback, exchanges the code and verifies the ID token.
package hosted

import (
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"homeroom/internal/secret"
	"homeroom/internal/setting"
)

// Config describes the provider, and this service as its client.
type Config struct {
	// Issuer is the provider's issuer identifier, exactly as in its tokens: Auth0's ends with a slash. Required.
	Issuer string
	// ClientID is the id of our application at the provider. Required.
	ClientID string
	// ClientSecret is the application's secret. Defaults to none: a public client, which only PKCE protects.
	ClientSecret secret.String
	// RedirectURL is the URL to which the provider redirects the browser, as registered there. Required.
	RedirectURL string
	// Scopes are the requested scopes; openid is always one of them. Defaults to openid, profile and email.
	Scopes []string
	// Params are added to every authorization request, so that the provider shows its registration instead of its
	// login. A nil map is screen_hint=signup, as at Auth0; an empty one adds none. A provider that supports
	// prompt=create also gets that.
	Params map[string]string
	// RegisterURL replaces the authorization endpoint, for a provider that has another URL for registrations. Defaults to the
	// provider's authorization endpoint.
	RegisterURL string
	// ReturnURLs are the URLs to which a person may be redirected at the end. The first is the default of a request.
	// Defaults to none: the flow ends on a page of this service.
	ReturnURLs []string
	// Key is the server's secret, at least 32 bytes; the key of the cookies is derived from it. Required.
	Key []byte
	// Lifetime is how long a flow may take. Defaults to 10 minutes.
	Lifetime time.Duration
	// Settings names the settings of these fields in hints for operators. Defaults to the fields' names.
	Settings setting.Names
	// Transport sends the requests to the provider. Defaults to http.DefaultTransport.
	Transport http.RoundTripper
	// Now is the clock. Defaults to time.Now.
	Now func() time.Time
}

func (c Config) withDefaults() Config {
	if len(c.Scopes) == 0 {
		c.Scopes = []string{"profile", "email"}
	}
	c.Scopes = slices.DeleteFunc(slices.Clone(c.Scopes), func(s string) bool { return s == "openid" })
	c.Scopes = append([]string{"openid"}, c.Scopes...)
	if c.Params == nil {
		c.Params = map[string]string{"screen_hint": "signup"}
	}
	c.Params = maps.Clone(c.Params)
	if c.Lifetime == 0 {
		c.Lifetime = 10 * time.Minute
	}
	if c.Transport == nil {
		c.Transport = http.DefaultTransport
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// reservedParams are the parameters on which the security of a request depends. Neither operators nor callers may set
// them.
var reservedParams = []string{
	"client_id", "client_secret", "code_challenge", "code_challenge_method", "nonce", "redirect_uri", "request", "request_uri",
	"response_mode", "response_type", "scope", "state",
}

// ConfigError says which field of a [Config] is wrong.
type ConfigError struct{ Field, What string }

// Error implements error.
func (e *ConfigError) Error() string { return "hosted registration: " + e.Field + ": " + e.What }

func (c Config) validate() error {
	for _, field := range []struct{ name, text string }{{"Issuer", c.Issuer}, {"RedirectURL", c.RedirectURL}, {"RegisterURL", c.RegisterURL}} {
		if field.text == "" && field.name == "RegisterURL" {
			continue
		}
		u, err := parseURL(field.text)
		if err != nil {
			return &ConfigError{field.name, err.Error()}
		}
		if field.name == "Issuer" && u.RawQuery != "" {
			return &ConfigError{field.name, "an issuer has no query"}
		}
	}
	for _, text := range c.ReturnURLs {
		if u, err := parseURL(text); err != nil || u.RawQuery != "" {
			return &ConfigError{"ReturnURLs", strconv.Quote(text) + " must be an https address without a query"}
		}
	}
	for name := range c.Params {
		if slices.Contains(reservedParams, name) {
			return &ConfigError{"Params", "the parameter " + name + " is not for configuration"}
		}
	}
	switch {
	case c.ClientID == "":
		return &ConfigError{"ClientID", "it is required"}
	case len(c.Key) < 32:
		return &ConfigError{"Key", "it must have at least 32 bytes"}
	case c.Lifetime < time.Minute:
		return &ConfigError{"Lifetime", "people need a minute at least"}
	}
	return nil
}

// parseURL parses a URL to which browsers or secrets may be sent: https, or http on loopback.
func parseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || u.Opaque != "" || strings.ContainsAny(text, "\\ #") {
		return nil, fmt.Errorf("%q is not an address such as https://id.lincoln.example/", text)
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())) {
		return nil, fmt.Errorf("%q must be https; plain http is for this machine alone", text)
	}
	return u, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Provider is an identity provider that has pages for registration. It is safe for concurrent use.
type Provider struct {
	cfg    Config
	client *http.Client
	// secure reports whether browsers reach this service by https; the cookies are then sent by https only.
	secure bool
	key    []byte

	discovering singleflight.Group
	redeeming   singleflight.Group
	discovered  atomic.Pointer[providerMetadata] // nil before it was fetched
}

// New returns a Provider. It sends no request: the provider's metadata is fetched for the first flow.
func New(cfg Config) (*Provider, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	// A cookie is valid for one issuer, application and redirect URL only.
	purpose := strings.Join([]string{"homeroom hosted registration cookie", cfg.Issuer, cfg.ClientID, cfg.RedirectURL}, "\n")
	key, err := hkdf.Key(sha256.New, cfg.Key, nil, purpose, 32)
	if err != nil {
		return nil, fmt.Errorf("derive key: %w", err)
	}
	return &Provider{
		cfg: cfg, key: key, secure: strings.HasPrefix(cfg.RedirectURL, "https:"),
		client: &http.Client{
			Transport: transport{cfg.Transport},
			// A redirect could send the code, or our secret, to another server.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}
