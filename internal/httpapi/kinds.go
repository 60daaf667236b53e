package httpapi

import (
	"net/http"
	"strings"
)

// kind is a kind of error. Each has a page of its own.
type kind struct {
	Code   string
	Status int
	Title  string
	// Meaning and Cure are for the page, in a sentence or two each.
	Meaning, Cure string
}

// Slug is the kind's name in URLs.
func (k *kind) Slug() string { return strings.ToLower(strings.ReplaceAll(k.Code, "_", "-")) }

// path is where its page is.
func (k *kind) path() string { return "/problems/" + k.Slug() }

// kinds are all of them, by status.
var kinds = []*kind{
	malformedRequest, unauthenticated, forbidden, signupClosed, invitationRequired, notFound, methodNotAllowed, emailExists,
	schoolExists, notWaiting, inProgress, otherSchema, invitationGone, linkGone, tooLarge, unsupportedMediaType, validationError,
	idempotencyMismatch, rateLimited, internal, identityUnavailable, catalogUnavailable, busy, signupBudget,
}

var (
	malformedRequest = &kind{
		"MALFORMED_REQUEST", http.StatusBadRequest, "Malformed request",
		"The body could not be read as one JSON object: it is not JSON, names a member twice, goes on after its end, holds bytes that are not UTF-8, or did not arrive completely. Or a header of which there is one at most was sent more than once.",
		"Send exactly one JSON object in UTF-8. Most JSON libraries do when they are given a plain object.",
	}
	unauthenticated = &kind{
		"UNAUTHENTICATED", http.StatusUnauthorized, "Not logged in",
		"The request has no access token, or one that is not good here: expired, for another API, from another issuer, or signed with an unknown key.",
		"Get an access token for this API's audience and send it as `Authorization: Bearer …`. An ID token is not an access token.",
	}
	forbidden = &kind{
		"FORBIDDEN", http.StatusForbidden, "Not allowed",
		"The token is good, but does not carry the permission that the operation needs; the detail names it. Or the school has been suspended. Or a page of an origin that is not allowed wants to call the API.",
		"Grant the permission to the user or the application. At Auth0, the API needs “Enable RBAC” and “Add Permissions in the Access Token”; then get a new token.",
	}
	signupClosed = &kind{
		"SIGNUP_CLOSED", http.StatusForbidden, "Sign-up closed",
		"Nobody can sign a school up here. People are still invited to schools that exist.",
		"Ask whoever runs the service. Sending the request again is no use.",
	}
	invitationRequired = &kind{
		"INVITATION_REQUIRED", http.StatusForbidden, "Invitation required",
		"Only who was invited can sign a school up here.",
		"Follow the link in the invitation's mail, or ask whoever runs the service for an invitation.",
	}
	notFound = &kind{
		"NOT_FOUND", http.StatusNotFound, "Not found",
		"There is no such path, or nothing with this id.",
		"Check the path and the id. A sign-up is found only by the exact id that its answer gave.",
	}
	methodNotAllowed = &kind{
		"METHOD_NOT_ALLOWED", http.StatusMethodNotAllowed, "Method not allowed",
		"The path exists, but not with this method.",
		"Use one of the methods that the Allow header lists.",
	}
	emailExists = &kind{
		"EMAIL_EXISTS", http.StatusConflict, "E-mail exists",
		"An account with this e-mail exists, or is being made at this moment.",
		"Log in instead, or reset the password of the account.",
	}
	schoolExists = &kind{
		"SCHOOL_EXISTS", http.StatusConflict, "School exists",
		"The login belongs to somebody who has a school already. A person has one school.",
		"Log in, and go on with the school that there is. For another school, sign up with another e-mail address.",
	}
	notWaiting = &kind{
		"NOT_WAITING", http.StatusConflict, "Not waiting",
		"The sign-up does not wait for what was done: it has been confirmed, approved or rejected before, or waits for something else.",
		"Look at the sign-up to see how it stands. Sending the request again is no use.",
	}
	inProgress = &kind{
		"IN_PROGRESS", http.StatusConflict, "In progress",
		"The same request, told by its Idempotency-Key, is being worked on; or the tenant is being built or deleted; or another run over the fleet is open, which the detail names.",
		"Wait for as long as Retry-After says, and send the same request again. It is never carried out twice. Without Retry-After, waiting is no use: a paused run must be resumed or aborted first.",
	}
	otherSchema = &kind{
		"OTHER_SCHEMA", http.StatusConflict, "Another schema",
		"The tenant was made by other migrations than this service has, so none of its files may run there. Or files of the service that have run in tenants' databases were changed.",
		"Give the service or the command the tenant's own migrations, as they were (`HOMEROOM_TENANT_MIGRATIONS`). Sending the request again is no use.",
	}
	invitationGone = &kind{
		"INVITATION_GONE", http.StatusGone, "Invitation gone",
		"The invitation is not known, or was answered, taken back, or not answered in time.",
		"Ask whoever has invited you to do so once more. If you have answered the invitation, log in.",
	}
	linkGone = &kind{
		"LINK_GONE", http.StatusGone, "Link gone",
		"The link is not known, or was not followed in time.",
		"Follow the link of the newest mail, or sign up once more.",
	}
	tooLarge = &kind{
		"TOO_LARGE", http.StatusRequestEntityTooLarge, "Too large",
		"The body is larger than 16 KiB, or 128 KiB for a run over chosen tenants.",
		"Send less. Everything that the API reads fits.",
	}
	unsupportedMediaType = &kind{
		"UNSUPPORTED_MEDIA_TYPE", http.StatusUnsupportedMediaType, "Unsupported media type",
		"The body does not say that it is JSON in UTF-8. Or it is compressed.",
		"Send `Content-Type: application/json`, and no `Content-Encoding`.",
	}
	validationError = &kind{
		"VALIDATION_ERROR", http.StatusUnprocessableEntity, "Invalid input",
		"Some of the fields are not acceptable. `errors` lists every one, with a stable code and a sentence for people.",
		"Correct the fields, and send the request again. Nothing has been kept of it: the same Idempotency-Key may be used.",
	}
	idempotencyMismatch = &kind{
		"IDEMPOTENCY_MISMATCH", http.StatusUnprocessableEntity, "Idempotency-Key used before",
		"The Idempotency-Key belongs to an earlier request whose body was another one.",
		"Make a new key, such as a random UUID, for every new request; keep it only to repeat the same one.",
	}
	rateLimited = &kind{
		"RATE_LIMITED", http.StatusTooManyRequests, "Too many requests",
		"This client address or this login has sent too many requests, or a mail was asked for too often.",
		"Wait for as long as Retry-After says. Repetitions with the Idempotency-Key of an earlier request are not counted.",
	}
	internal = &kind{
		"INTERNAL", http.StatusInternalServerError, "Internal error",
		"Something went wrong that the service did not expect. The cause is in its log, under the request id.",
		"Send the request again with the same Idempotency-Key. If it stays, tell the operator the request id.",
	}
	identityUnavailable = &kind{
		"IDENTITY_UNAVAILABLE", http.StatusServiceUnavailable, "Identity provider unavailable",
		"The identity provider did not answer, or its answer was lost.",
		"Wait for as long as Retry-After says, and send the same request with the same Idempotency-Key: it goes on where it stopped.",
	}
	catalogUnavailable = &kind{
		"CATALOG_UNAVAILABLE", http.StatusServiceUnavailable, "Catalog unavailable",
		"The database with the list of all schools cannot be reached.",
		"Wait for as long as Retry-After says, and send the same request with the same Idempotency-Key: it goes on where it stopped.",
	}
	busy = &kind{
		"BUSY", http.StatusServiceUnavailable, "Busy",
		"There is no room for this request now: the identity provider's rate limit is used up, no server takes another school, or a database or its server cannot be used at this moment.",
		"Wait for as long as Retry-After says, and send the same request again.",
	}
	signupBudget = &kind{
		"SIGNUP_BUDGET", http.StatusServiceUnavailable, "Sign-ups used up",
		"The service takes a number of sign-ups a minute and a day, from all callers together, and has taken them.",
		"Wait for as long as Retry-After says, and send the same request again. Repetitions with the Idempotency-Key of an earlier request are not counted.",
	}
)
