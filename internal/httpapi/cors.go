package httpapi

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/gin-gonic/gin"
)

// validOrigins refuses what browsers never send, "null" and wildcards among them.
func validOrigins(origins []string) error {
	for _, origin := range origins {
		u, err := url.Parse(origin)
		if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.Scheme+"://"+u.Host != origin {
			return fmt.Errorf("%q is not an origin such as https://app.lincoln.example", origin)
		}
	}
	return nil
}

// cors lets pages of the allowed origins, compared letter by letter, call the API. Credentials of the browser are never
// among what they may send: callers show a token. What a browser asks before a page of another origin may call is answered
// with the reason why it may not.
func (s *server) cors(c *gin.Context) {
	h := c.Writer.Header()
	if len(s.cfg.AllowedOrigins) > 0 {
		h.Add("Vary", "Origin")
	}
	origin := c.GetHeader("Origin")
	preflight := c.Request.Method == http.MethodOptions && origin != "" && c.GetHeader("Access-Control-Request-Method") != ""
	if !slices.Contains(s.cfg.AllowedOrigins, origin) {
		if preflight {
			writeProblem(c.Writer, c.Request, newProblem(forbidden,
				"Pages of other origins may not call this API (CORS). The operator allows an origin with HOMEROOM_ALLOWED_ORIGINS."))
			c.Abort()
		}
		return
	}
	h.Set("Access-Control-Allow-Origin", origin)
	if !preflight {
		h.Set("Access-Control-Expose-Headers",
			"Idempotent-Replayed, Location, Preference-Applied, RateLimit, RateLimit-Policy, Retry-After, WWW-Authenticate, X-Request-Id")
		return
	}
	h.Add("Vary", "Access-Control-Request-Method, Access-Control-Request-Headers")
	h.Set("Access-Control-Allow-Methods", "GET, POST, PATCH, DELETE")
	h.Set("Access-Control-Allow-Headers", "authorization, content-type, idempotency-key, prefer, x-request-id, last-event-id")
	h.Set("Access-Control-Max-Age", "600")
	c.AbortWithStatus(http.StatusNoContent)
}
