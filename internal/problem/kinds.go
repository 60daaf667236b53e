package problem

import (
	"net/http"
	"strings"

	"homeroom/messages"
)

// Kind is a kind of error. Each has a page of its own, whose texts are those below "kind" in the messages.
type Kind struct {
	// Code is for programs.
	Code string
	// Status is the HTTP status.
	Status int
}

// Path is where its page is.
func (k *Kind) Path() string {
	return "/problems/" + strings.ToLower(strings.ReplaceAll(k.Code, "_", "-"))
}

// KindText is a kind with its texts in a language.
type KindText struct {
	*Kind
	// Title names the kind. Meaning says what an error of it means, and Cure what to do.
	Title, Meaning, Cure string
}

// Localize returns the kind with its texts in a language.
func (k *Kind) Localize(language messages.Localizer) KindText {
	text := func(part string) string { return language.Text("kind."+strings.ToLower(k.Code)+"."+part, nil) }
	return KindText{k, text("title"), text("meaning"), text("cure")}
}

// The kinds of errors.
var (
	// MalformedRequest is for a request that cannot be read in one way only.
	MalformedRequest = &Kind{"MALFORMED_REQUEST", http.StatusBadRequest}
	// Unauthenticated is for a token that is missing or not valid.
	Unauthenticated = &Kind{"UNAUTHENTICATED", http.StatusUnauthorized}
	// Forbidden is for something that the caller may not do.
	Forbidden = &Kind{"FORBIDDEN", http.StatusForbidden}
	// SignupClosed is for signing up where nobody can.
	SignupClosed = &Kind{"SIGNUP_CLOSED", http.StatusForbidden}
	// InvitationRequired is for signing up where only invited people can.
	InvitationRequired = &Kind{"INVITATION_REQUIRED", http.StatusForbidden}
	// NotFound is for a path or a thing that is not there.
	NotFound = &Kind{"NOT_FOUND", http.StatusNotFound}
	// MethodNotAllowed is for a method that a path does not have.
	MethodNotAllowed = &Kind{"METHOD_NOT_ALLOWED", http.StatusMethodNotAllowed}
	// EmailExists is for an e-mail that has an account.
	EmailExists = &Kind{"EMAIL_EXISTS", http.StatusConflict}
	// SchoolExists is for a login that has a school.
	SchoolExists = &Kind{"SCHOOL_EXISTS", http.StatusConflict}
	// NotWaiting is for a sign-up that does not wait for what was done.
	NotWaiting = &Kind{"NOT_WAITING", http.StatusConflict}
	// InProgress is for work that is being done at this moment.
	InProgress = &Kind{"IN_PROGRESS", http.StatusConflict}
	// OtherSchema is for a tenant that a different set of migrations created.
	OtherSchema = &Kind{"OTHER_SCHEMA", http.StatusConflict}
	// InvitationGone is for an invitation that is not open.
	InvitationGone = &Kind{"INVITATION_GONE", http.StatusGone}
	// LinkGone is for a link that is not valid any more.
	LinkGone = &Kind{"LINK_GONE", http.StatusGone}
	// TooLarge is for a body that is too large.
	TooLarge = &Kind{"TOO_LARGE", http.StatusRequestEntityTooLarge}
	// UnsupportedMediaType is for a body of another media type.
	UnsupportedMediaType = &Kind{"UNSUPPORTED_MEDIA_TYPE", http.StatusUnsupportedMediaType}
	// ValidationError is for fields that are wrong.
	ValidationError = &Kind{"VALIDATION_ERROR", http.StatusUnprocessableEntity}
	// IdempotencyMismatch is for a key of another request.
	IdempotencyMismatch = &Kind{"IDEMPOTENCY_MISMATCH", http.StatusUnprocessableEntity}
	// RateLimited is for too many requests of one caller.
	RateLimited = &Kind{"RATE_LIMITED", http.StatusTooManyRequests}
	// Internal is for what nobody expected.
	Internal = &Kind{"INTERNAL", http.StatusInternalServerError}
	// IdentityUnavailable is for an identity provider that does not answer.
	IdentityUnavailable = &Kind{"IDENTITY_UNAVAILABLE", http.StatusServiceUnavailable}
	// CatalogUnavailable is for a catalog that cannot be reached.
	CatalogUnavailable = &Kind{"CATALOG_UNAVAILABLE", http.StatusServiceUnavailable}
	// Busy is for something else that cannot be used now.
	Busy = &Kind{"BUSY", http.StatusServiceUnavailable}
	// SignupBudget is for more sign-ups than the whole service takes.
	SignupBudget = &Kind{"SIGNUP_BUDGET", http.StatusServiceUnavailable}
)

// Kinds are all of them, by status.
var Kinds = []*Kind{
	MalformedRequest, Unauthenticated, Forbidden, SignupClosed, InvitationRequired, NotFound, MethodNotAllowed, EmailExists,
	SchoolExists, NotWaiting, InProgress, OtherSchema, InvitationGone, LinkGone, TooLarge, UnsupportedMediaType, ValidationError,
	IdempotencyMismatch, RateLimited, Internal, IdentityUnavailable, CatalogUnavailable, Busy, SignupBudget,
}
