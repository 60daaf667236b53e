package httpapi

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/gin-gonic/gin"
	"github.com/rs/cors"

	"homeroom/internal/problem"
	"homeroom/messages"
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

// newCORS lets pages of these origins, compared byte by byte, call the API. Credentials of the browser are never among what
// they may send: callers show a token.
func newCORS(origins []string) *cors.Cors {
	return cors.New(cors.Options{
		AllowOriginFunc: func(origin string) bool { return slices.Contains(origins, origin) }, // no origins would be all, as a list
		AllowedMethods:  []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPatch, http.MethodDelete},
		AllowedHeaders:  []string{"Authorization", "Content-Type", "Idempotency-Key", "Prefer", "X-Request-Id", "Last-Event-ID"},
		ExposedHeaders: []string{
			"Idempotent-Replayed", "Location", "Preference-Applied", "RateLimit", "RateLimit-Policy", "Retry-After", "WWW-Authenticate", "X-Request-Id",
		},
		MaxAge: 600,
	})
}

// crossOrigin answers what a browser asks before a page of another origin may call, with the reason where it may not, and
// marks all other answers for browsers.
func (s *server) crossOrigin(c *gin.Context) {
	origin := c.GetHeader("Origin")
	preflight := c.Request.Method == http.MethodOptions && c.GetHeader("Access-Control-Request-Method") != ""
	switch {
	case preflight && origin == "": // no browser asks so
	case preflight && !slices.Contains(s.cfg.AllowedOrigins, origin):
		c.Header("Vary", "Origin")
		writeProblem(c.Writer, c.Request, problem.New(problem.Forbidden, messages.ID("detail.origin")))
		c.Abort()
	case len(s.cfg.AllowedOrigins) > 0:
		s.cors.HandlerFunc(c.Writer, c.Request)
		if preflight {
			c.Abort()
		}
	}
}
