package httpapi

import (
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"

	"homeroom/internal/problem"
	"homeroom/messages"
)

// singleHeaders are the headers of which a request has one at most. Of two, a proxy in front of us could have read the one and we
// the other.
var singleHeaders = []string{"Authorization", "Content-Encoding", "Content-Type", "Idempotency-Key"}

// wellFormed refuses requests that cannot be understood in one way only, before anything of the body is read.
func wellFormed(c *gin.Context) {
	for _, name := range singleHeaders {
		if len(c.Request.Header.Values(name)) > 1 {
			writeProblem(c.Writer, c.Request, problem.New(problem.MalformedRequest, messages.ID("detail.header_twice", messages.Args{"Header": name})))
			c.Abort()
			return
		}
	}
	if encoding := c.GetHeader("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		p := problem.New(problem.UnsupportedMediaType, messages.ID("detail.body_encoded"))
		_ = p.WithHeader("Accept-Encoding", "identity") // RFC 9110, section 12.5.3
		writeProblem(c.Writer, c.Request, p)
		c.Abort()
	}
}

// announced refuses a body whose length, as the request tells it, is above what the operation reads. Nothing of it is read.
func (s *server) withAnnouncedBody(ctx huma.Context, next func(huma.Context)) {
	most := ctx.Operation().MaxBodyBytes
	if most == 0 { // it reads none
		most = maxBodyBytes
	}
	if requestOf(ctx.Context()).length >= most { // most is one more than what is read
		ctx.SetHeader("Connection", "close")
		_ = huma.WriteErr(s.api, ctx, http.StatusRequestEntityTooLarge, "") // the caller may be gone
		return
	}
	next(ctx)
}

// answerHead adds HEAD wherever GET is: net/http leaves the body out. It is called when all routes are there.
func answerHead(router *gin.Engine) {
	there := map[string]bool{}
	for _, route := range router.Routes() {
		there[route.Method+" "+route.Path] = true
	}
	for _, route := range router.Routes() {
		if route.Method == http.MethodGet && !there["HEAD "+route.Path] {
			router.HEAD(route.Path, route.HandlerFunc)
		}
	}
}

// notFound answers for a path that there is not.
func notFound(c *gin.Context) {
	p := problem.New(problem.NotFound, messages.ID("detail.no_path"))
	if path := c.Request.URL.Path; len(path) > 1 && strings.HasSuffix(path, "/") {
		p = problem.New(problem.NotFound, messages.ID("detail.no_path_slash"))
	}
	writeProblem(c.Writer, c.Request, p)
}
