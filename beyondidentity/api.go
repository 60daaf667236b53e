package beyondidentity

// Where things are. The sign-up guide and its API definition document one call of version 1, the create. To find and to
// remove users, only version 2 (the Secure Workforce API, https://docs.beyondidentity.com/api/v0) is documented. It is
// on the same host and has the same users, so it serves both here. That a token of version 1 is good for it, and that
// its id is version 1's internal_id, is not documented, and was not seen at the real service.
const (
	// routeToken gives tokens to clients: a form, and HTTP's Basic scheme.
	routeToken = "/v2/oauth2/token"
	// routeCreateV1 creates a user, and mails them.
	routeCreateV1 = "/v1/manage/users"
	// routeCreateV2 does the same.
	routeCreateV2 = "/v2/users"
	// routeSearch lists users by a filter. Without a page size it lists nobody.
	routeSearch = "/v2/users"
	// routeUser is one user, by Beyond Identity's id.
	routeUser = "/v2/users/{id}"
)

// The attributes that users are searched by. The grammar is that of RFC 7644, section 3.4.2.2.
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

// byMail has version 1 send the mail with which a new user enrols. Version 2 sends one without being asked.
const byMail = "email"

// deleted is the state of a user who is kept for the record only.
const deleted = "DELETED"

// headerReset is of draft-polli-ratelimit-headers-02, where it is a number of seconds to wait.
const headerReset = "RateLimit-Reset"

// pageSize is more than the users that an e-mail has.
const pageSize = "100"
