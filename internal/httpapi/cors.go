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

// validOrigins refuses origins that browsers never send, also "null" and wildcards.
func validOrigins(origins []string) error {
	for _, origin := range origins {
		u, err := url.Parse(origin)
		if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.Scheme+"://"+u.Host != origin {
			return fmt.Errorf("%q is not an origin such as https://app.lincoln.example", origin)
		}
	}
	return nil
}

// newCORS allows pages of these origins, compared byte by byte, to call the API. They may not send the browser's
// credentials: callers use a token.
func newCORS(origins []string) *cors.Cors {
	return cors.New(cors.Options{
		AllowOriginFunc: func(origin string) bool { return slices.Contains(origins, origin) }, // an empty list would allow all origins
		AllowedMethods:  []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPatch, http.MethodDelete},
		AllowedHeaders:  []string{"Authorization", "Content-Type", "Idempotency-Key", "Prefer", "X-Request-Id", "Last-Event-ID"},
		ExposedHeaders: []string{
			"Idempotent-Replayed", "Location", "Preference-Applied", "RateLimit", "RateLimit-Policy", "Retry-After", "WWW-Authenticate", "X-Request-Id",
		},
		MaxAge: 600,
	})
}

// crossOrigin answers the preflight requests of browsers, with the reason where a page may not call, and adds the
// headers for browsers to all other answers.
func (s *server) crossOrigin(c *gin.Context) {
	origin := c.GetHeader("Origin")
	preflight := c.Request.Method == http.MethodOptions && c.GetHeader("Access-Control-Request-Method") != ""
	switch {
	case preflight && origin == "": // browsers do not send this
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
