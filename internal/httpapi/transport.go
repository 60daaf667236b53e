package httpapi

import (
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"

	"homeroom/internal/problem"
	"homeroom/messages"
)

// singleHeaders are the headers that a request has at most once. Of two, a proxy in front of the service could have
// used the one and the service the other.
var singleHeaders = []string{"Authorization", "Content-Encoding", "Content-Type", "Idempotency-Key"}

// wellFormed refuses requests that can be understood in more than one way, before the body is read.
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

// withAnnouncedBody refuses a body whose Content-Length is larger than what the operation reads. The body is not
// read.
func (s *server) withAnnouncedBody(ctx huma.Context, next func(huma.Context)) {
	most := ctx.Operation().MaxBodyBytes
	if most == 0 { // it reads no body
		most = maxBodyBytes
	}
	if requestOf(ctx.Context()).length >= most { // most is one more than what is read
		ctx.SetHeader("Connection", "close")
		_ = huma.WriteErr(s.api, ctx, http.StatusRequestEntityTooLarge, "") // the caller may have disconnected
		return
	}
	next(ctx)
}

// answerHead adds HEAD wherever GET is: net/http leaves the body out. It is called after all routes were added.
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

// notFound answers for an unknown path.
func notFound(c *gin.Context) {
	p := problem.New(problem.NotFound, messages.ID("detail.no_path"))
	if path := c.Request.URL.Path; len(path) > 1 && strings.HasSuffix(path, "/") {
		p = problem.New(problem.NotFound, messages.ID("detail.no_path_slash"))
	}
	writeProblem(c.Writer, c.Request, p)
}
