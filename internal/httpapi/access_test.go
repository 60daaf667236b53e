package httpapi_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"homeroom/auth0/auth0test"
)

// public is all that needs no token. A route that is not listed here must need a token.
var public = []string{
	"POST /users", "POST /api/auth/sign-up", "GET /signups/:id", "GET /signups/:id/events", "POST /signups/:id/verification-email",
	"GET /activate", "POST /activate", "GET /invitation", "POST /invitation", "GET /schools/availability", "GET /livez", "GET /readyz",
	"GET /", "POST /", "GET /ui/*file", "GET /register/status/:id", "POST /register/status/:id", "GET /openapi.json", "GET /docs", "GET /docs/style.css", "GET /docs/elements.js", "GET /docs/elements.css",
}

// anyToken is what needs a token, but no permission.
var anyToken = []string{"GET /me", "POST /schools", "POST /schools/confirm", "POST /invitations/accept", "POST /tenants/:id/invitations"}

func TestEveryRouteIsClosed(t *testing.T) {
	t.Parallel()
	w := setup(t, options{noSpare: true})
	parameter := regexp.MustCompile(`:\w+`)
	wrong := "Authorization: Bearer " + w.auth0.IssueToken(auth0test.TokenRequest{
		Permissions: []string{"read:nothing", "admin", "*", ""}, Scope: "openid profile",
	})
	bad := "Authorization: Bearer " + w.auth0.IssueToken(auth0test.TokenRequest{Audience: []string{"https://other.example"}})
	var closed int
	for _, route := range w.handler.(*gin.Engine).Routes() {
		name := strings.Replace(route.Method+" "+route.Path, "HEAD ", "GET ", 1)
		path := parameter.ReplaceAllString(route.Path, "lincoln-high")
		status := func(headers ...string) int { return w.call(route.Method, path, "", headers...).Status }
		switch {
		case slices.Contains(public, name), strings.HasPrefix(route.Path, "/problems/"):
			truth(t, status() != 401 && status() != 403, name, " is not public")
		default:
			closed++
			equal(t, 401, status(), name, " without a token")
			equal(t, 401, status(bad), name, " with a bad token")
			if slices.Contains(anyToken, name) {
				truth(t, status(wrong) != 401 && status(wrong) != 403, name)
			} else {
				equal(t, 403, status(wrong), name, " with another permission")
			}
		}
	}
	truth(t, closed >= 4, closed)
	equal(t, 403, w.call("POST", "/tenants/lincoln-high/reprovision", "", w.bearer("read:tenants")).Status, "reading is not changing")
	equal(t, 403, w.call("GET", "/tenants", "", w.bearer("update:tenants")).Status, "changing is not reading")
}
