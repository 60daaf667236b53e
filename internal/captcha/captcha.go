// Package captcha asks the provider of a CAPTCHA whether a person is behind a request.
//
// The page shows the provider's widget and sends us the token that it makes; only the provider can tell what the token is
// worth. Cloudflare Turnstile and hCaptcha are asked in the same way, which both call siteverify. Whatever is not a clear
// yes is a no: without an answer the sign-up is refused.
package captcha

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"homeroom/internal/secret"
)

// Provider is who is asked.
type Provider string

// The providers.
const (
	// Turnstile is Cloudflare's: https://developers.cloudflare.com/turnstile/get-started/server-side-validation/
	Turnstile Provider = "turnstile"
	// HCaptcha is hCaptcha's: https://docs.hcaptcha.com/#verify-the-user-response-server-side
	HCaptcha Provider = "hcaptcha"
)

var addresses = map[Provider]string{
	Turnstile: "https://challenges.cloudflare.com/turnstile/v0/siteverify",
	HCaptcha:  "https://api.hcaptcha.com/siteverify",
}

// Config says who is asked, and as whom.
type Config struct {
	// Provider is who is asked. Required.
	Provider Provider
	// Secret is that of the widget's site. Required.
	Secret secret.String
	// VerifyURL is where the provider is asked. Defaults to its own address.
	VerifyURL string
	// Hostnames are the pages' hosts from which tokens are taken; a subdomain needs a name of its own. Defaults to all
	// those that the provider gives tokens to.
	Hostnames []string
	// Timeout bounds a question, its repetition included. Defaults to 4 s.
	Timeout time.Duration
	// Transport carries the requests. Defaults to http.DefaultTransport.
	Transport http.RoundTripper
}

func (c Config) withDefaults() Config {
	if c.VerifyURL == "" {
		c.VerifyURL = addresses[c.Provider]
	}
	c.Hostnames = slices.Clone(c.Hostnames)
	for i, name := range c.Hostnames {
		c.Hostnames[i] = strings.ToLower(name)
	}
	if c.Timeout == 0 {
		c.Timeout = 4 * time.Second
	}
	if c.Transport == nil {
		c.Transport = http.DefaultTransport
	}
	return c
}

func (c Config) validate() error {
	if _, known := addresses[c.Provider]; !known {
		return fmt.Errorf("%q is no CAPTCHA that we know: it must be turnstile or hcaptcha", c.Provider)
	}
	if c.Secret == "" {
		return errors.New("a CAPTCHA needs the secret of its site")
	}
	u, err := url.Parse(c.VerifyURL)
	if err != nil || u.Host == "" || u.User != nil || (u.Scheme != "https" && u.Scheme != "http") {
		return errors.New("the address at which a CAPTCHA is verified must be one such as " + addresses[HCaptcha])
	}
	return nil
}

// Verifier asks one provider. It may be used by many goroutines.
type Verifier struct {
	cfg    Config
	client *http.Client
}

// New makes a Verifier. It sends nothing.
func New(cfg Config) (*Verifier, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	return &Verifier{cfg: cfg, client: &http.Client{
		Transport: cfg.Transport,
		// A redirect would carry our secret to wherever it points.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}
