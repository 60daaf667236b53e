package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"math"
	"net/http"
	"strconv"
	"time"

	"homeroom/catalog"
	"homeroom/fleet"
	"homeroom/identity"
	"homeroom/lifecycle"
	"homeroom/signup"
)

// Problem is an error as a caller sees it (RFC 9457). Nothing in it repeats what the caller sent but names of fields.
type Problem struct {
	Type      string         `json:"type" doc:"A page of this service that explains the error and its cure." format:"uri-reference" example:"/problems/validation-error"`
	Title     string         `json:"title" doc:"The kind of error, for people." example:"Invalid input"`
	Status    int            `json:"status" doc:"The HTTP status." example:"422"`
	Detail    string         `json:"detail" doc:"What went wrong this time, for people." example:"2 fields need another look."`
	Code      string         `json:"code" doc:"The kind of error, for programs." example:"VALIDATION_ERROR"`
	RequestID string         `json:"requestId" doc:"Finds the request in the service's log." example:"0199c1b0-7d2e-7aa0-b9a1-0f6f3c1e2d4b"`
	Errors    []FieldProblem `json:"errors,omitempty" doc:"Every field that is wrong."`

	// headers go with the answer; cause is for the log alone.
	headers http.Header
	cause   error
	// enveloped has it written as callers of /api/auth/sign-up expect.
	enveloped bool
	// said tells that the texts are in the caller's language.
	said bool
}

// FieldProblem is what is wrong with one field.
type FieldProblem struct {
	Field   string `json:"field" doc:"The member of the body, or the parameter or header." example:"password"`
	Code    string `json:"code" doc:"What is wrong, for programs." example:"too_short"`
	Message string `json:"message" doc:"What is wrong, for people." example:"Use at least 8 characters."`
}

// Error implements error.
func (p *Problem) Error() string { return p.Code + ": " + p.Detail }

// Unwrap returns what the log is told.
func (p *Problem) Unwrap() error { return p.cause }

// GetStatus implements [huma.StatusError].
func (p *Problem) GetStatus() int { return p.Status }

// ContentType implements [huma.ContentTypeFilter].
func (p *Problem) ContentType(string) string {
	if p.enveloped {
		return "application/json"
	}
	return "application/problem+json"
}

func newProblem(k *kind, detail string) *Problem {
	return &Problem{Type: k.path(), Title: k.Title, Status: k.Status, Detail: detail, Code: k.Code, headers: http.Header{}}
}

// because adds a cause for the log.
func (p *Problem) because(err error) *Problem {
	p.cause = err
	return p
}

// after tells the caller when to come back.
func (p *Problem) after(d time.Duration) *Problem {
	p.headers.Set("Retry-After", seconds(d))
	return p
}

// seconds writes a duration as a header's whole seconds, rounded up.
func seconds(d time.Duration) string { return strconv.Itoa(int(math.Ceil(max(d.Seconds(), 1)))) }

func invalidFields(fields ...FieldProblem) *Problem {
	detail := "One field needs another look."
	if len(fields) != 1 {
		detail = strconv.Itoa(len(fields)) + " fields need another look."
	}
	p := newProblem(validationError, detail)
	p.Errors = fields
	return p
}

// problemOf is the table from errors to problems. What it does not know is an internal error, told in a safe sentence.
func problemOf(err error) *Problem {
	var (
		problem     *Problem
		invalid     *signup.ValidationError
		rejected    *identity.Rejected
		unavailable *signup.Unavailable
		unreachable *unreachableError
	)
	if p := signupRefusal(err); p != nil {
		return p
	}
	switch {
	case errors.As(err, &problem):
		return problem
	case errors.As(err, &invalid):
		return invalidFields(fieldProblems(invalid.Fields)...).because(invalid.Cause)
	case errors.As(err, &rejected):
		return invalidFields(FieldProblem{rejected.Field, rejected.Code, rejected.Message}).because(err)
	case errors.Is(err, fleet.ErrMixed):
		return invalidFields(FieldProblem{"to", "mixed", "Some of these tenants are above that version and some below. Take them in two runs."})
	case catalog.ChangedFiles(err) != nil:
		return newProblem(otherSchema, "The service's migration files are not those that made the tenants; its log tells which differ.").because(err)
	case errors.Is(err, catalog.ErrBadCursor):
		return invalidFields(FieldProblem{"cursor", "invalid_format", "Use the nextCursor of the page before, unchanged."})
	case errors.Is(err, catalog.ErrNotFound):
		return newProblem(notFound, "There is no such thing here.")
	case errors.As(err, &unavailable):
		return unavailableProblem(unavailable)
	case errors.As(err, &unreachable):
		return newProblem(busy, "The school's database cannot be reached at this moment.").after(5 * time.Second).because(err)
	case catalog.Unavailable(err):
		return newProblem(catalogUnavailable, "The service's catalog cannot be reached at this moment.").after(2 * time.Second).because(err)
	}
	return newProblem(internal, "Something went wrong on our side. It has been logged under the request id.").because(err)
}

// signupRefusal is the part of the table for the errors that sign-ups name.
func signupRefusal(err error) *Problem {
	var (
		often *signup.TooManyMails
		rate  *signup.RateLimited
		spent *signup.BudgetSpent
	)
	switch {
	case errors.Is(err, signup.ErrEmailExists):
		return newProblem(emailExists, "An account with this e-mail exists. Log in instead, or reset its password.")
	case errors.Is(err, signup.ErrHasSchool):
		return newProblem(schoolExists, "This login has a school. Log in, and go on there.")
	case errors.Is(err, signup.ErrNoPerson):
		return newProblem(forbidden, "The token is not of a person with an e-mail address, or their login is gone.")
	case errors.Is(err, signup.ErrClosed):
		return newProblem(signupClosed, "Signing up is closed.")
	case errors.Is(err, signup.ErrInvitationNeeded):
		return newProblem(invitationRequired, "Signing up needs an invitation. Follow the link in its mail.")
	case errors.Is(err, signup.ErrInvitationGone):
		return newProblem(invitationGone, "The invitation is not open any more. Ask for another one.")
	case errors.Is(err, signup.ErrLinkGone):
		return newProblem(linkGone, "The link is not good any more.")
	case errors.Is(err, signup.ErrLoginNeeded):
		return newProblem(forbidden, "This sign-up is confirmed with the login that it was begun with. Log in, and confirm it there.")
	case errors.Is(err, signup.ErrOtherLogin):
		return newProblem(forbidden, "This sign-up was begun with another login. Log in with that one to confirm it.")
	case errors.As(err, &rate):
		return newProblem(rateLimited, "Too many sign-ups from this address. Try again later.").after(rate.RetryAfter)
	case errors.As(err, &spent):
		return newProblem(signupBudget, "The service takes no more sign-ups at this moment. Try again later.").after(spent.RetryAfter).because(err)
	case errors.As(err, &often):
		return newProblem(rateLimited, "The mail has been sent several times. Try again later.").after(often.RetryAfter)
	case errors.Is(err, signup.ErrNotWaiting):
		return newProblem(notWaiting, "The sign-up does not wait for this any more.")
	case errors.Is(err, signup.ErrInProgress):
		return newProblem(inProgress, "The same request is being worked on. Send it again with the same Idempotency-Key.").after(time.Second)
	case errors.Is(err, signup.ErrKeyReused):
		return newProblem(idempotencyMismatch, "This Idempotency-Key was used for another request. Use a new one for a new request.")
	case errors.Is(err, signup.ErrNeedsOperator):
		return newProblem(internal, "This sign-up needs an operator. Please tell the service's operator the request id.").because(err)
	case errors.Is(err, signup.ErrNotProvisioned), errors.Is(err, lifecycle.ErrNotProvisioned):
		return newProblem(inProgress, "The tenant is being built or deleted.").after(5 * time.Second)
	case errors.Is(err, signup.ErrOtherSchema):
		return newProblem(otherSchema, "The tenant's schema comes from other migrations than this service has.").because(err)
	case errors.Is(err, signup.ErrConfirm):
		return invalidFields(FieldProblem{"confirm", "mismatch", "Repeat the tenant's slug to confirm."})
	}
	return nil
}

func fieldProblems(fields []signup.FieldError) []FieldProblem {
	problems := make([]FieldProblem, len(fields))
	for i, field := range fields {
		problems[i] = FieldProblem(field)
	}
	return problems
}

func unavailableProblem(u *signup.Unavailable) *Problem {
	var p *Problem
	switch u.What {
	case signup.Identity:
		p = newProblem(identityUnavailable, "The identity provider cannot answer at this moment. The same request with the same Idempotency-Key goes on later.")
	case signup.Catalog:
		p = newProblem(catalogUnavailable, "The service's catalog cannot be reached at this moment. The same request with the same Idempotency-Key goes on later.")
	case signup.Captcha:
		p = newProblem(busy, "The CAPTCHA cannot be checked at this moment. Try again later.")
	default:
		p = newProblem(busy, "Too many sign-ups at this moment. The same request with the same Idempotency-Key goes on later.")
	}
	return p.after(u.RetryAfter).because(u)
}

// unreachableError says that a tenant's own database could not be asked.
type unreachableError struct{ err error }

func (e *unreachableError) Error() string { return "ask a tenant's database: " + e.err.Error() }
func (e *unreachableError) Unwrap() error { return e.err }

// writeProblem answers with a problem where huma is not involved.
func writeProblem(w http.ResponseWriter, r *http.Request, p *Problem) {
	if speaksEnvelope(r) {
		p = p.inEnvelope()
	}
	p.note(r.Context(), w.Header())
	body, err := json.Marshal(p.wire())
	if err != nil {
		panic(err) // strings and numbers
	}
	w.Header().Set("Content-Type", p.ContentType(""))
	w.WriteHeader(p.Status)
	_, _ = w.Write(append(body, '\n')) // the caller may be gone; the answer to HEAD ends before it
}

// note completes a problem that is about to be written, and leaves its cause for the line in the log.
func (p *Problem) note(ctx context.Context, headers http.Header) {
	maps.Copy(headers, p.headers)
	if request := requestOf(ctx); request != nil {
		p.RequestID = request.id
		request.code, request.cause = p.Code, p.cause
		p.say(request.language())
	}
}
