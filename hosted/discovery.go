package hosted

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"homeroom/identity"
	"homeroom/internal/jwks"
	"homeroom/internal/secret"
)

const (
	// callTimeout limits each request to the provider.
	callTimeout = 5 * time.Second
	// maxResponseBytes is how much of a response is read.
	maxResponseBytes = 1 << 20
)

// providerMetadata is the provider's metadata (OpenID Connect Discovery 1.0), and what is derived from it.
type providerMetadata struct {
	oidc     *oidc.Provider
	oauth    oauth2.Config
	verifier *oidc.IDTokenVerifier
	// sendsIssuer says that all its callbacks have the parameter iss (RFC 9207).
	sendsIssuer bool
	// supportsPromptCreate says that it shows its registration for prompt=create.
	supportsPromptCreate bool
	// acceptsSecretPost says that it supports client_secret_post.
	acceptsSecretPost bool
}

// discover returns the provider's metadata. It is fetched once; concurrent callers share one request.
func (p *Provider) discover(ctx context.Context) (*providerMetadata, error) {
	if found := p.discovered.Load(); found != nil {
		return found, nil
	}
	answer, err, _ := p.discovering.Do("", func() (any, error) {
		// The request continues when the caller that began it is cancelled: others may wait for it.
		found, err := p.metadata(context.WithoutCancel(ctx))
		if err == nil {
			p.discovered.Store(found)
		}
		return found, err
	})
	if err != nil {
		return nil, err
	}
	return answer.(*providerMetadata), nil
}

func (p *Provider) metadata(ctx context.Context) (*providerMetadata, error) {
	ctx = oidc.ClientContext(ctx, p.client)
	provider, err := oidc.NewProvider(ctx, p.cfg.Issuer)
	if err != nil {
		return nil, p.discoveryError(err)
	}
	var document struct {
		Token       string   `json:"token_endpoint"`
		Keys        string   `json:"jwks_uri"`
		Authorize   string   `json:"authorization_endpoint"`
		Algorithms  []string `json:"id_token_signing_alg_values_supported"`
		AuthMethods []string `json:"token_endpoint_auth_methods_supported"`
		Prompts     []string `json:"prompt_values_supported"`
		Issuer      bool     `json:"authorization_response_iss_parameter_supported"`
	}
	if err := provider.Claims(&document); err != nil {
		return nil, p.discoveryError(err)
	}
	for _, endpoint := range []string{document.Token, document.Keys, document.Authorize} {
		if _, err := parseURL(endpoint); err != nil {
			return nil, p.discoveryError(err)
		}
	}
	keys := jwks.New(jwks.Config{URL: document.Keys, Transport: p.client.Transport, Now: p.cfg.Now})
	e := &providerMetadata{
		oidc: provider, sendsIssuer: document.Issuer, supportsPromptCreate: slices.Contains(document.Prompts, "create"),
		acceptsSecretPost: slices.Contains(document.AuthMethods, "client_secret_post"),
		oauth: oauth2.Config{
			ClientID: p.cfg.ClientID, ClientSecret: p.cfg.ClientSecret.Reveal(), Endpoint: provider.Endpoint(),
			RedirectURL: p.cfg.RedirectURL, Scopes: p.cfg.Scopes,
		},
		verifier: oidc.NewVerifier(p.cfg.Issuer, keys, &oidc.Config{
			ClientID: p.cfg.ClientID, SupportedSigningAlgs: asymmetric(document.Algorithms), Now: p.cfg.Now,
		}),
	}
	if p.cfg.RegisterURL != "" {
		e.oauth.Endpoint.AuthURL = p.cfg.RegisterURL
	}
	e.oauth.Endpoint.AuthStyle = oauth2.AuthStyleInParams
	basic := len(document.AuthMethods) == 0 || slices.Contains(document.AuthMethods, "client_secret_basic")
	if p.cfg.ClientSecret != "" && basic {
		e.oauth.Endpoint.AuthStyle = oauth2.AuthStyleInHeader
	}
	return e, nil
}

// asymmetric returns the asymmetric algorithms of these: neither none, nor HMAC, whose key is our own secret. Defaults
// to RS256, which every provider must support.
func asymmetric(algorithms []string) []string {
	safe := []string{
		oidc.RS256, oidc.RS384, oidc.RS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.EdDSA,
	}
	usable := slices.DeleteFunc(safe, func(a string) bool { return !slices.Contains(algorithms, a) })
	if len(usable) == 0 {
		return []string{oidc.RS256}
	}
	return usable
}

// discoveryError explains why the metadata cannot be used.
func (p *Provider) discoveryError(err error) error {
	var unavailable *identity.Unavailable
	if errors.As(err, &unavailable) {
		return err
	}
	return &identity.Misconfigured{
		Hint: p.cfg.Settings.Sprintf("look at $Issuer: its /.well-known/openid-configuration must be a description that names this very issuer"),
		Err:  fmt.Errorf("ask %s for its description: %s", p.cfg.Issuer, secret.Redact(err.Error())),
	}
}

// transport sends requests to the provider. It returns an *[identity.Unavailable] when there is no response, and for the statuses
// 429 and 5xx: the libraries that use it do not all return the status.
type transport struct{ next http.RoundTripper }

// RoundTrip implements [http.RoundTripper]. It reads the whole response, so that the timeout includes that.
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(r.Context(), callTimeout)
	defer cancel()
	res, err := t.next.RoundTrip(r.WithContext(ctx))
	if err != nil {
		return nil, &identity.Unavailable{Err: err}
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxResponseBytes))
	if err != nil {
		return nil, &identity.Unavailable{Err: err}
	}
	if throttled := res.StatusCode == http.StatusTooManyRequests; throttled || res.StatusCode >= http.StatusInternalServerError {
		wait, _ := strconv.Atoi(res.Header.Get("Retry-After")) // 0 if it is missing
		return nil, &identity.Unavailable{
			Throttled: throttled, RetryAfter: time.Duration(min(max(wait, 0), 3600)) * time.Second,
			Err: fmt.Errorf("it answered %s", res.Status),
		}
	}
	res.Body = io.NopCloser(bytes.NewReader(body))
	return res, nil
}
