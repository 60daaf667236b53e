package auth0

import "time"

// Where things are. https://auth0.com/docs/api/management/v2 and https://auth0.com/docs/api/authentication.
const (
	managementPath = "/api/v2/"

	// https://auth0.com/docs/get-started/authentication-and-authorization-flow/client-credentials-flow
	routeToken = "/oauth/token"
	// https://auth0.com/docs/api/management/v2/users/post-users and, for the search,
	// https://auth0.com/docs/api/management/v2/users/get-users.
	routeUsers = "/api/v2/users"
	// https://auth0.com/docs/api/management/v2/users/get-users-by-id. The bar in an id travels as %7C.
	routeUser = "/api/v2/users/{id}"
	// https://auth0.com/docs/api/management/v2/users-by-email/get-users-by-email. Unlike the search at GET /users it
	// sees a new user at once, and it minds letter case.
	routeByEmail = "/api/v2/users-by-email"
)

// idPrefix is what Auth0 puts before the id of every user of a database connection.
const idPrefix = "auth0|"

// The scopes that the application needs.
const (
	scopeCreate = "create:users"
	scopeRead   = "read:users"
	scopeDelete = "delete:users"
)

// Values of errorCode, which is optional: refusals of passwords and of tokens have none.
const (
	codeExists     = "auth0_idp_error"
	codeNotFound   = "inexistent_user"
	codeConnection = "inexistent_connection"
	codeBody       = "invalid_body"
	codeScope      = "insufficient_scope"
	codeDomains    = "custom_domain_conflict"
)

// https://auth0.com/docs/troubleshoot/customer-support/operational-policies/rate-limit-policy. The reset is a UNIX time
// in whole seconds, not a duration.
const (
	headerLimit     = "X-RateLimit-Limit"
	headerRemaining = "X-RateLimit-Remaining"
	headerReset     = "X-RateLimit-Reset"
	headerRequestID = "X-Auth0-RequestId"
	headerDomain    = "auth0-custom-domain"
)

const (
	// maxAnswer is far above the largest user that Auth0 returns (1 MB).
	maxAnswer = 4 << 20
	// maxRetryAfter bounds what a header may ask for: resets of more than an hour ahead have been seen.
	maxRetryAfter = time.Minute
	// attempts is how often a call that can do no harm is tried.
	attempts = 3
)
