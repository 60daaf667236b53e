package jwks

import (
	"net/http"
	"testing"
	"time"
)

// TestMaxAge: as the issuer says, between a minute and what is configured.
func TestMaxAge(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"": DefaultMaxAge, "public": DefaultMaxAge, "max-age=90": 90 * time.Second, "public, max-age=15, stale-if-error=86400": 15 * time.Second,
		`Max-Age="200"`: 200 * time.Second, "no-store": 0, "no-cache, max-age=300": 0, "max-age=soon": DefaultMaxAge, "max-age=-1": DefaultMaxAge,
		"s-maxage=1": DefaultMaxAge, "max-age=999999999": 24 * time.Hour,
	} {
		if got := maxAge(http.Header{"Cache-Control": {text}}); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}
