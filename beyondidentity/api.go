package beyondidentity

// The routes. The sign-up guide and its API definition document one call of version 1, the create. Only version 2 (the
// Secure Workforce API, https://docs.beyondidentity.com/api/v0) documents how to find and remove users. It is on the
// same host and has the same users, so it is used for both. It is not documented, and not tested with the real service,
// that a token of version 1 is valid for it, and that its id is version 1's internal_id.
const (
	// routeToken is the token endpoint: a form, with HTTP's Basic scheme.
	routeToken = "/v2/oauth2/token"
	// routeCreateV1 creates a user, and sends them a mail.
	routeCreateV1 = "/v1/manage/users"
	// routeCreateV2 does the same.
	routeCreateV2 = "/v2/users"
	// routeSearch lists users by a filter. Without a page size it lists none.
	routeSearch = "/v2/users"
	// routeUser is one user, by Beyond Identity's id.
	routeUser = "/v2/users/{id}"
)

// The attributes in searches for users. The grammar is that of RFC 7644, section 3.4.2.2.
const (
	attributeOurs  = "external_id"
	attributeEmail = "email_address"
)

// The scopes that a client needs.
const (
	scopeCreate = "users:create"
	scopeRead   = "users:read"
	scopeDelete = "users:delete"
)

// byMail makes version 1 send the mail with which a new user enrols a device. Version 2 always sends one.
const byMail = "email"

// deleted is the state of a deleted user.
const deleted = "DELETED"

// headerReset is from draft-polli-ratelimit-headers-02: a number of seconds to wait.
const headerReset = "RateLimit-Reset"

// pageSize is more than the users of one e-mail.
const pageSize = "100"
