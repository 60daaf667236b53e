// Package problem maps errors to what callers see: problem documents (RFC 9457), in the caller's language. One table has
// the problem of each error.
package problem

import (
	"context"
	"encoding/json"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"homeroom/messages"
)

// Problem is an error as a caller sees it. Nothing in it repeats what the caller sent but names of fields.
type Problem struct {
	Type      string         `json:"type" doc:"A page of this service that explains the error and its cure." format:"uri-reference" example:"/problems/validation-error"`
	Title     string         `json:"title" doc:"The kind of error, for people." example:"Invalid input"`
	Status    int            `json:"status" doc:"The HTTP status." example:"422"`
	Detail    string         `json:"detail" doc:"What went wrong this time, for people." example:"2 fields need another look."`
	Code      string         `json:"code" doc:"The kind of error, for programs." example:"VALIDATION_ERROR"`
	RequestID string         `json:"requestId" doc:"Finds the request in the service's log." example:"0199c1b0-7d2e-7aa0-b9a1-0f6f3c1e2d4b"`
	Errors    []FieldProblem `json:"errors,omitempty" doc:"Every field that is wrong."`

	kind   *Kind
	detail messages.Message
	fields []Field
	// headers go with the answer; cause is for the log alone.
	headers http.Header
	cause   error
	// wire, if not nil, is what is sent instead of the document.
	format func(*Problem) any
}

// FieldProblem is what is wrong with one field, as a caller sees it.
type FieldProblem struct {
	Field   string `json:"field" doc:"The member of the body, or the parameter or header." example:"password"`
	Code    string `json:"code" doc:"What is wrong, for programs." example:"too_short"`
	Message string `json:"message" doc:"What is wrong, for people." example:"Use at least 8 characters."`
}

// Field is what is wrong with one field.
type Field struct {
	// Field is the member of the body, or the parameter or header.
	Field string
	// Code is a stable word, such as "too_short".
	Code string
	// Message is for people.
	Message messages.Message
}

// New makes a problem. Its texts are written by [Problem.Complete].
func New(kind *Kind, detail messages.Message) *Problem {
	return &Problem{Type: kind.Path(), Status: kind.Status, Code: kind.Code, kind: kind, detail: detail, headers: http.Header{}}
}

// Invalid is the problem of fields that are wrong.
func Invalid(fields ...Field) *Problem {
	p := New(ValidationError, messages.ID("detail.fields", messages.Args{"Count": len(fields)}))
	p.fields = slices.Clone(fields)
	return p
}

// BodyTooLarge is the problem of a body that has more than so many bytes.
func BodyTooLarge(limit int) *Problem {
	return New(TooLarge, messages.ID("detail.body_limit", messages.Args{"Limit": limit >> 10}))
}

// State is the word for the state of a school or a run, inside another text.
func State[S ~string](state S) messages.Message { return messages.ID("state." + string(state)) }

// Error implements error.
func (p *Problem) Error() string { return p.Code + ": " + p.detail.String() }

// Unwrap returns the cause, which only the log has.
func (p *Problem) Unwrap() error { return p.cause }

// GetStatus implements huma.StatusError.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType implements huma.ContentTypeFilter.
func (p *Problem) ContentType(string) string {
	if p.format != nil {
		return "application/json"
	}
	return "application/problem+json"
}

// WithCause adds a cause for the log.
func (p *Problem) WithCause(err error) *Problem {
	p.cause = err
	return p
}

// WithRetryAfter sets Retry-After.
func (p *Problem) WithRetryAfter(wait time.Duration) *Problem {
	return p.WithHeader("Retry-After", strconv.Itoa(int(math.Ceil(max(wait.Seconds(), 1)))))
}

// WithHeader adds a header to the answer.
func (p *Problem) WithHeader(name, value string) *Problem {
	p.headers.Set(name, value)
	return p
}

// RenameField changes the name of a field, where its code is not this one.
func (p *Problem) RenameField(from, to, exceptCode string) *Problem {
	for i, field := range p.fields {
		if field.Field == from && field.Code != exceptCode {
			p.fields[i].Field = to
		}
	}
	return p
}

// WithFormat has another value sent in place of the document, as plain JSON, and the detail replaced where there is
// one for the kind.
func (p *Problem) WithFormat(wire func(*Problem) any, details map[*Kind]messages.Message) *Problem {
	p.format = wire
	if detail, ok := details[p.kind]; ok {
		p.detail = detail
	}
	return p
}

// Body is what is sent.
func (p *Problem) Body() any {
	if p.format != nil {
		return p.format(p)
	}
	return p
}

// Write answers with a problem where huma is not involved.
func Write(w http.ResponseWriter, r *http.Request, p *Problem) {
	p.Complete(r.Context(), w.Header())
	body, err := json.Marshal(p.Body())
	if err != nil {
		panic(err) // strings and numbers
	}
	w.Header().Set("Content-Type", p.ContentType(""))
	w.WriteHeader(p.Status)
	_, _ = w.Write(append(body, '\n')) // the caller may be gone; the answer to HEAD ends before it
}

// Complete completes a problem that is about to be written: its headers, and its texts in the request's language. It leaves the
// cause for the line in the log.
func (p *Problem) Complete(ctx context.Context, headers http.Header) {
	maps.Copy(headers, p.headers)
	request := requestOf(ctx)
	if request == nil {
		return
	}
	p.RequestID = request.ID
	request.Code, request.Cause = p.Code, p.cause
	language := request.Language()
	p.Title, p.Detail = p.kind.Localize(language).Title, language.Format(p.detail)
	p.Errors = nil
	for _, field := range p.fields {
		p.Errors = append(p.Errors, FieldProblem{field.Field, field.Code, field.format(language)})
	}
}

// format writes what is wrong with a field. What the identity provider says, in its own language, is quoted behind what its
// code means.
func (f Field) format(language messages.Localizer) string {
	text := language.Format(f.Message)
	if f.Message.IsVerbatim() && !strings.HasPrefix(language.Tag(), "en") {
		if meaning, ok := language.Lookup("code."+f.Code, map[string]any{"Message": text}); ok {
			return meaning
		}
	}
	return text
}

// Request is what a problem is told of the request that it answers, and what it leaves for the log.
type Request struct {
	// ID finds the request in the log.
	ID string
	// Language finds the language in which the answer speaks.
	Language func() messages.Localizer
	// Code and Cause are of the problem that the request was answered with.
	Code  string
	Cause error
}

type requestKey struct{}

// WithRequest puts a request into its context.
func WithRequest(ctx context.Context, r *Request) context.Context {
	return context.WithValue(ctx, requestKey{}, r)
}

// requestOf finds the request that a context belongs to; nil where there is none.
func requestOf(ctx context.Context) *Request {
	r, _ := ctx.Value(requestKey{}).(*Request)
	return r
}

// SetLanguage sets the language of the problem of a request.
func SetLanguage(ctx context.Context, language messages.Localizer) {
	if r := requestOf(ctx); r != nil {
		r.Language = func() messages.Localizer { return language }
	}
}
