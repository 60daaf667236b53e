// Package jwks verifies signatures with the keys that an issuer publishes, and rejects keys that the issuer has
// withdrawn.
package jwks

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/time/rate"
)

const (
	// minMaxAge is the shortest time that the issuer's keys are cached, whatever its Cache-Control says.
	minMaxAge = time.Minute
	// retryAfter is the time after which a failed fetch is repeated. The cached keys are used meanwhile.
	retryAfter = 30 * time.Second
	// fetchTimeout bounds one fetch.
	fetchTimeout = 5 * time.Second
	// fetchInterval and fetchBurst limit how often tokens with unknown keys cause a fetch.
	fetchInterval = 30 * time.Second
	fetchBurst    = 3
	// maxKeysBytes is the largest answer.
	maxKeysBytes = 1 << 20
)

// DefaultMaxAge is the longest time that keys are cached, unless a [Config] sets another.
const DefaultMaxAge = 5 * time.Minute

// ErrFetch says that a signature could not be verified, because the issuer's keys could not be fetched.
var ErrFetch = errors.New("fetch the issuer's keys")

// Config configures a Set.
type Config struct {
	// URL is where the keys are published. Required.
	URL string
	// MaxAge is the longest time that they are cached. Defaults to [DefaultMaxAge].
	MaxAge time.Duration
	// Transport carries the requests. Defaults to http.DefaultTransport.
	Transport http.RoundTripper
	// Now is the clock. Defaults to time.Now.
	Now func() time.Time
}

// Set holds an issuer's keys. They are fetched with the first token, when a token names an unknown key, and when the
// cached ones are too old: from then on a withdrawn key is rejected. While the issuer cannot be reached, its last
// good answer is used. A Set is an [oidc.KeySet], and may be used by many goroutines.
//
// go-oidc's key set never removes a key. So there is a new key set for each period.
type Set struct {
	url     string
	now     func() time.Time
	client  *http.Client
	fetches *keysTransport

	mu    sync.Mutex
	set   *oidc.RemoteKeySet
	began time.Time
}

var _ oidc.KeySet = (*Set)(nil)

// New makes a Set. It sends nothing.
func New(cfg Config) *Set {
	if cfg.MaxAge == 0 {
		cfg.MaxAge = DefaultMaxAge
	}
	if cfg.Transport == nil {
		cfg.Transport = http.DefaultTransport
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	fetches := &keysTransport{next: cfg.Transport, limit: rate.NewLimiter(rate.Every(fetchInterval), fetchBurst), atMost: cfg.MaxAge}
	fetches.goodFor.Store(int64(cfg.MaxAge))
	return &Set{url: cfg.URL, now: cfg.Now, fetches: fetches, client: &http.Client{
		Timeout: fetchTimeout, Transport: fetches,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// current returns the key set of this period.
func (k *Set) current() *oidc.RemoteKeySet {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.set == nil || k.now().Sub(k.began) >= time.Duration(k.fetches.goodFor.Load()) {
		k.fetches.due.Store(true)
		k.set = oidc.NewRemoteKeySet(oidc.ClientContext(context.Background(), k.client), k.url)
		k.began = k.now()
	}
	return k.set
}

// fetchKey is the key of the pointer in which a Set stores the error of a fetch.
type fetchKey struct{}

// WithFetchError makes a Set store the error of a fetch in err, because go-oidc's verifier does not return its type:
// it wraps [ErrFetch], or is the context's own.
func WithFetchError(ctx context.Context, err *error) context.Context {
	return context.WithValue(ctx, fetchKey{}, err)
}

// VerifySignature implements [oidc.KeySet].
func (k *Set) VerifySignature(ctx context.Context, token string) ([]byte, error) {
	payload, err := k.current().VerifySignature(ctx, token)
	if errors.Is(err, ErrFetch) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		if fetch, ok := ctx.Value(fetchKey{}).(*error); ok {
			*fetch = err
		}
	}
	return payload, err
}

// keysTransport fetches the issuer's keys. It returns the last good answer when it must not fetch or cannot: go-oidc
// fetches for every token with an unknown key, and anybody can make such tokens.
type keysTransport struct {
	next   http.RoundTripper
	limit  *rate.Limiter
	atMost time.Duration
	// due makes the next request fetch whatever the limit says: a new period has begun.
	due atomic.Bool
	// goodFor is how long the fetched keys are cached, a [time.Duration].
	goodFor atomic.Int64

	mu   sync.Mutex
	last []byte // nil until a fetch has succeeded
	err  error
}

// RoundTrip implements [http.RoundTripper].
func (t *keysTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	t.mu.Lock() // go-oidc makes one fetch at a time anyway
	defer t.mu.Unlock()
	if due := t.due.CompareAndSwap(true, false) && t.last != nil; due || t.limit.Allow() {
		body, lasts, err := t.fetch(r)
		if err == nil {
			t.last = body
		}
		t.err = err
		t.goodFor.Store(int64(lasts))
	}
	if t.last == nil {
		return nil, fmt.Errorf("%w: %w", ErrFetch, t.err)
	}
	return &http.Response{
		StatusCode: http.StatusOK, Status: "200 OK", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(t.last)), Request: r,
	}, nil
}

// fetch requests the keys. It returns how long the result may be cached, also that of a failure.
func (t *keysTransport) fetch(r *http.Request) (body []byte, lasts time.Duration, err error) {
	again := min(retryAfter, t.atMost)
	res, err := t.next.RoundTrip(r)
	if err != nil {
		return nil, again, err
	}
	defer res.Body.Close()
	if body, err = io.ReadAll(io.LimitReader(res.Body, maxKeysBytes)); err != nil {
		return nil, again, err
	}
	if res.StatusCode != http.StatusOK {
		return nil, again, fmt.Errorf("it answered %s", res.Status)
	}
	if !bytes.Contains(body, []byte(`"keys"`)) {
		return nil, again, errors.New("its answer holds no keys")
	}
	return body, min(max(maxAge(res.Header), minMaxAge), t.atMost), nil
}

// maxAge returns how long an answer may be cached by its Cache-Control, or DefaultMaxAge where it says nothing.
func maxAge(h http.Header) time.Duration {
	for directive := range strings.SplitSeq(strings.Join(h.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.ToLower(strings.TrimSpace(directive)), "=")
		switch name {
		case "no-store", "no-cache":
			return 0
		case "max-age":
			if seconds, err := strconv.Atoi(strings.Trim(value, `"`)); err == nil && seconds >= 0 {
				return time.Duration(min(seconds, 86400)) * time.Second
			}
		}
	}
	return DefaultMaxAge
}
