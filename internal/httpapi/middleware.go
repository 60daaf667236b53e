package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"runtime/debug"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"homeroom/admission"
	"homeroom/internal/problem"
	"homeroom/messages"
)

// request is the data of a request while it is answered.
type request struct {
	*problem.Request
	// caller is the address of the client.
	caller admission.Caller
	// hasBody reports whether there may be a body, and length its number of bytes: -1 if the request does not say.
	hasBody bool
	length  int64
	// head is set for a HEAD request.
	head    bool
	control *http.ResponseController
	// headers are those of the answer.
	headers http.Header
}

type requestKey struct{}

// requestOf returns the request of a context; nil if begin did not run.
func requestOf(ctx context.Context) *request {
	r, _ := ctx.Value(requestKey{}).(*request)
	return r
}

var validRequestID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// begin gives the request an id, and logs one line at the end. Paths, queries, bodies and headers are not logged:
// they contain addresses of people, ids that are permissions, and secrets.
func (s *server) begin(c *gin.Context) {
	r := &request{
		Request: &problem.Request{ID: c.GetHeader("X-Request-Id"), Language: func() messages.Localizer { return s.cfg.Texts.Negotiate(c.Writer, c.Request) }},
		hasBody: c.Request.ContentLength != 0, length: c.Request.ContentLength,
		head: c.Request.Method == http.MethodHead, control: http.NewResponseController(c.Writer),
		headers: c.Writer.Header(),
	}
	if !validRequestID.MatchString(r.ID) {
		r.ID = uuid.NewString()
	}
	address := clientAddress(c.Request, s.cfg.TrustedProxies)
	r.caller = admission.Caller{Address: address.String(), Network: network(address), Site: site(address)}
	c.Header("X-Request-Id", r.ID)
	c.Request = c.Request.WithContext(admission.WithCaller(problem.WithRequest(context.WithValue(c.Request.Context(), requestKey{}, r), r.Request), r.caller))
	began := time.Now()
	defer func() { s.log(c, r, time.Since(began)) }()
	c.Next()
}

func (s *server) log(c *gin.Context, r *request, took time.Duration) {
	route, status := c.FullPath(), c.Writer.Status()
	if route == "" {
		route = "unmatched"
	}
	level := slog.LevelInfo
	switch {
	case status >= http.StatusInternalServerError && c.Request.Context().Err() == nil: // otherwise the client has disconnected
		level = slog.LevelError
	case route == "/livez" || route == "/readyz":
		level = slog.LevelDebug
	}
	fields := []slog.Attr{
		slog.String("method", method(c.Request.Method)), slog.String("route", route), slog.Int("status", status),
		slog.Duration("took", took), slog.String("request", r.ID), slog.String("client", r.caller.Address),
	}
	if r.Code != "" {
		fields = append(fields, slog.String("code", r.Code))
	}
	if r.Cause != nil {
		fields = append(fields, slog.String("error", r.Cause.Error()))
	}
	s.cfg.Logger.LogAttrs(c.Request.Context(), level, "request", fields...)
}

// method keeps unknown methods, which a client can choose freely, out of the log.
func method(name string) string {
	switch name {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return name
	}
	return "other"
}

// recover answers for a handler that has panicked. The panic value is logged: it contains only our own text.
func (s *server) recover(c *gin.Context) {
	defer func() {
		fault := recover()
		if fault == nil {
			return
		}
		if err, ok := fault.(error); ok && errors.Is(err, http.ErrAbortHandler) {
			panic(fault)
		}
		cause := fmt.Errorf("panic: %v\n%s", fault, debug.Stack())
		p := problem.New(problem.Internal, messages.ID("detail.internal")).WithCause(cause)
		if c.Writer.Written() {
			p.Complete(c.Request.Context(), http.Header{})
			return
		}
		writeProblem(c.Writer, c.Request, p)
	}()
	c.Next()
}

// secureHeaders are set on every answer; pages add a content security policy of their own. Where the service is
// reached by HTTPS, browsers are told to use only HTTPS.
func (s *server) secureHeaders(c *gin.Context) {
	h := c.Writer.Header()
	if strings.HasPrefix(s.cfg.PublicURL, "https://") {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Permissions-Policy", noFeatures)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
}

// noFeatures denies pages, and content that was injected into them, all features of browsers except showing text.
const noFeatures = "accelerometer=(), browsing-topics=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), magnetometer=(), " +
	"microphone=(), midi=(), payment=(), publickey-credentials-get=(), screen-wake-lock=(), serial=(), usb=(), xr-spatial-tracking=()"

// readable refuses text in a URL that Postgres cannot store: NUL, and bytes that are not UTF-8.
func readable(c *gin.Context) {
	if !isReadable(c.Request.URL.Path) {
		writeProblem(c.Writer, c.Request, problem.New(problem.NotFound, messages.ID("detail.not_found")))
		c.Abort()
		return
	}
	for name, values := range c.Request.URL.Query() {
		if !isReadable(name) || !isReadable(strings.Join(values, "")) {
			writeProblem(c.Writer, c.Request, problem.Invalid(problem.Field{
				Field: strings.ToValidUTF8(shorten(name), "?"), Code: "invalid_characters", Message: messages.ID("field.parameter_utf8"),
			}))
			c.Abort()
			return
		}
	}
}

func isReadable(text string) bool { return utf8.ValidString(text) && !strings.ContainsRune(text, 0) }
