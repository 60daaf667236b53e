package auth0test_test

import (
	"net/http"
	"testing"

	"homeroom/auth0/auth0test"
)

func TestNewNeedsAnIssuer(t *testing.T) {
	t.Parallel()
	if _, err := auth0test.New(auth0test.Config{}); err == nil {
		t.Error("it accepted an empty BaseURL")
	}
	if _, err := auth0test.New(auth0test.Config{BaseURL: "http://x", Connections: []auth0test.Connection{{Name: "x", Policy: "best"}}}); err == nil {
		t.Error("it accepted an unknown policy")
	}
	s, err := auth0test.New(auth0test.Config{BaseURL: "http://x/"})
	if err != nil || s.URL() != "http://x" || s.Config().ManagementAudience != "http://x/api/v2/" {
		t.Errorf("%v %+v", err, s)
	}
	var _ http.Handler = s
}
