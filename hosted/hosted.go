// Package hosted signs people up on the pages of an identity provider: it sends a browser there, and reads what it brings back.
//
// It is an OpenID Connect client for any provider that publishes its configuration: the authorization code flow, always with
// PKCE, a state and a nonce. What a sign-up must remember meanwhile is in a cookie of the browser, sealed by us, so that no
// process has to be the one that began. [Provider.Start] makes the address and the cookie, [Provider.Finish] takes the answer
// apart, and trusts none of it before the provider has said it itself.
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
)

// Config says who the provider is, and what we are to it.
type Config struct {
	// Issuer is the provider, letter for letter as its tokens name it: Auth0's end with a slash. Required.
	Issuer string
	// ClientID is our application there. Required.
	ClientID string
	// ClientSecret is its secret. Defaults to none: a public client, which PKCE alone protects.
	ClientSecret secret.String
	// RedirectURL is where the provider sends the browser back to, as it is registered there. Required.
	RedirectURL string
	// Scopes are asked for; openid is always among them. Defaults to openid, profile and email.
	Scopes []string
	// Params are added to every request: what the provider needs to show its registration instead of its login. A nil map
	// is screen_hint=signup, as Auth0 has it; an empty one is none. A provider that knows prompt=create is sent that too.
	Params map[string]string
	// RegisterURL is where the browser is sent, for a provider whose registration is at an address of its own. Defaults to
	// the provider's authorization endpoint.
	RegisterURL string
	// ReturnURLs are the addresses to which a person may be sent on in the end. The first is the one where a request names
	// none. Defaults to none: people end on a page of ours.
	ReturnURLs []string
	// Key is the server's secret, at least 32 bytes; what seals the cookies is derived from it. Required.
	Key []byte
	// Lifetime is how long a person may take. Defaults to 10 minutes.
	Lifetime time.Duration
	// Transport carries the requests to the provider. Defaults to http.DefaultTransport.
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

// ours are the parameters that a request's safety hangs on. Nobody else sets them.
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

// absolute reads an address that a browser may be sent to, or that secrets may be sent to: https, or http on this machine.
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

// Provider is an identity provider with a registration of its own. Its methods may be called from many goroutines.
type Provider struct {
	cfg    Config
	client *http.Client
	// secure tells whether browsers reach us by https: then our cookies travel no other way.
	secure bool
	key    []byte

	discovering singleflight.Group
	redeeming   singleflight.Group
	discovered  atomic.Pointer[providerMetadata] // nil until the provider has told
}

// New makes a Provider. It sends nothing: the provider is asked when the first person comes.
func New(cfg Config) (*Provider, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	// A registration that was begun with one provider is none with another, nor one of another application.
	purpose := strings.Join([]string{"homeroom hosted registration cookie", cfg.Issuer, cfg.ClientID, cfg.RedirectURL}, "\n")
	key, err := hkdf.Key(sha256.New, cfg.Key, nil, purpose, 32)
	if err != nil {
		return nil, fmt.Errorf("derive key: %w", err)
	}
	return &Provider{
		cfg: cfg, key: key, secure: strings.HasPrefix(cfg.RedirectURL, "https:"),
		client: &http.Client{
			Transport: transport{cfg.Transport},
			// A redirect would carry the code, and perhaps our secret, to wherever it points.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// Lifetime is how long a person may take.
func (p *Provider) Lifetime() time.Duration { return p.cfg.Lifetime }
