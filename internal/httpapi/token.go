package httpapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/time/rate"
)

const (
	// keysTimeout bounds one fetch of the issuer's keys.
	keysTimeout = 5 * time.Second
	// keysEvery and keysAtOnce bound how often tokens that name unknown keys make us fetch.
	keysEvery  = 30 * time.Second
	keysAtOnce = 3
	// largestKeys bounds the answer.
	largestKeys = 1 << 20
)

// claims are what we read from an access token.
type claims struct {
	Subject     string   `json:"sub"`
	Permissions []string `json:"permissions"`
	Scope       string   `json:"scope"`
}

// allows tells whether the token carries a permission: in the claim that Auth0 adds for people, or in the scope that
// applications have.
func (c claims) allows(permission string) bool {
	return slices.Contains(c.Permissions, permission) || slices.Contains(strings.Fields(c.Scope), permission)
}

// verifier checks access tokens.
type verifier struct{ oidc *oidc.IDTokenVerifier }

// newVerifier sends nothing; the keys are fetched with the first token, and again when one names a key that is new.
func newVerifier(issuer, jwksURL, audience string) *verifier {
	client := &http.Client{
		Timeout:       keysTimeout,
		Transport:     &keysTransport{next: http.DefaultTransport, limit: rate.NewLimiter(rate.Every(keysEvery), keysAtOnce)},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	keys := oidc.NewRemoteKeySet(oidc.ClientContext(context.Background(), client), jwksURL)
	return &verifier{oidc: oidc.NewVerifier(issuer, keySet{keys}, &oidc.Config{
		ClientID: audience, SupportedSigningAlgs: []string{oidc.RS256},
	})}
}

// errKeys says that a token could not be judged, because the issuer's keys could not be fetched.
var errKeys = errors.New("fetch the issuer's keys")

// verify reads a token. Its error is about the token, unless it is errKeys.
func (v *verifier) verify(ctx context.Context, token string) (claims, error) {
	if strings.Count(token, ".") != 2 || strings.ContainsAny(token, "{} ") { // no other serialisation than the compact one
		return claims{}, errors.New("it is not a JWT")
	}
	var fetch error
	parsed, err := v.oidc.Verify(context.WithValue(ctx, fetchKey{}, &fetch), token)
	if fetch != nil {
		return claims{}, fmt.Errorf("%w: %w", errKeys, fetch)
	}
	if err != nil {
		return claims{}, err
	}
	var c claims
	if err := parsed.Claims(&c); err != nil {
		return claims{}, fmt.Errorf("read claims: %w", err)
	}
	if c.Subject == "" {
		return claims{}, errors.New("it has no subject")
	}
	return c, nil
}

// fetchKey finds in a context where keySet leaves the error of a fetch, whose kind go-oidc's verifier does not pass on.
type fetchKey struct{}

type keySet struct{ *oidc.RemoteKeySet }

// VerifySignature implements [oidc.KeySet].
func (k keySet) VerifySignature(ctx context.Context, token string) ([]byte, error) {
	payload, err := k.RemoteKeySet.VerifySignature(ctx, token)
	if errors.Is(err, errKeys) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		if fetch, ok := ctx.Value(fetchKey{}).(*error); ok {
			*fetch = err
		}
	}
	return payload, err
}

// keysTransport fetches the issuer's keys, and repeats the last answer while it may not fetch again: go-oidc fetches for
// every token that names an unknown key, and anybody can make such tokens.
type keysTransport struct {
	next  http.RoundTripper
	limit *rate.Limiter

	mu   sync.Mutex
	last []byte // nil until a fetch has succeeded
	err  error
}

// RoundTrip implements [http.RoundTripper].
func (t *keysTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	t.mu.Lock() // go-oidc has one fetch in flight at a time anyway
	defer t.mu.Unlock()
	if t.limit.Allow() {
		body, err := t.fetch(r)
		if err == nil {
			t.last = body
		}
		t.err = err
	}
	if t.last == nil {
		return nil, fmt.Errorf("%w: %w", errKeys, t.err)
	}
	return &http.Response{
		StatusCode: http.StatusOK, Status: "200 OK", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(t.last)), Request: r,
	}, nil
}

func (t *keysTransport) fetch(r *http.Request) ([]byte, error) {
	res, err := t.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, largestKeys))
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answered %s", res.Status)
	}
	if !bytes.Contains(body, []byte(`"keys"`)) {
		return nil, errors.New("its answer holds no keys")
	}
	return body, nil
}
