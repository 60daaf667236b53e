package auth0

// The routes. https://auth0.com/docs/api/management/v2 and https://auth0.com/docs/api/authentication.
const (
	managementPath = "/api/v2/"

	// https://auth0.com/docs/get-started/authentication-and-authorization-flow/client-credentials-flow
	routeToken = "/oauth/token"
	// https://auth0.com/docs/api/management/v2/users/post-users and, for the search,
	// https://auth0.com/docs/api/management/v2/users/get-users.
	routeUsers = "/api/v2/users"
	// https://auth0.com/docs/api/management/v2/users/get-users-by-id. The bar in an id is sent as %7C.
	routeUser = "/api/v2/users/{id}"
	// https://auth0.com/docs/api/management/v2/users-by-email/get-users-by-email. Unlike the search at GET /users it
	// finds a new user at once, and is case-sensitive.
	routeByEmail = "/api/v2/users-by-email"

	// https://auth0.com/docs/api/management/v2/users/post-user-roles
	routeUserRoles = "/api/v2/users/{id}/roles"
	// https://auth0.com/docs/api/management/v2/users/get-user-organizations
	routeUserOrganizations = "/api/v2/users/{id}/organizations"
	// https://auth0.com/docs/api/management/v2/roles/get-roles. Its filter finds parts of names, case-insensitively.
	routeRoles = "/api/v2/roles"
	// https://auth0.com/docs/api/management/v2/connections/get-connections
	routeConnections = "/api/v2/connections"
	// https://auth0.com/docs/api/management/v2/tickets/post-password-change
	routePasswordTicket = "/api/v2/tickets/password-change"

	// https://auth0.com/docs/api/management/v2/organizations/post-organizations
	routeOrganizations = "/api/v2/organizations"
	routeOrganization  = "/api/v2/organizations/{id}"
	// https://auth0.com/docs/api/management/v2/organizations/get-name-by-name
	routeOrganizationName = "/api/v2/organizations/name/{id}"
	// https://auth0.com/docs/api/management/v2/organizations/post-members. Its list is eventually consistent.
	routeMembers = "/api/v2/organizations/{id}/members"
	// https://auth0.com/docs/api/management/v2/organizations/post-organization-member-roles
	routeMemberRoles = "/api/v2/organizations/{id}/members/{other}/roles"
	// https://auth0.com/docs/api/management/v2/organizations/post-enabled-connections
	routeEnabledConnections = "/api/v2/organizations/{id}/enabled_connections"
	routeEnabledConnection  = "/api/v2/organizations/{id}/enabled_connections/{other}"
)

// passwordlessConnection is Auth0's name of the one connection that mails codes:
// https://auth0.com/docs/authenticate/passwordless/authentication-methods/email-otp
const passwordlessConnection = "email"

// grantRealm logs in a person of a certain connection with a password:
// https://auth0.com/docs/api/authentication/resource-owner-password-flow/get-token
const grantRealm = "http://auth0.com/oauth/grant-type/password-realm"

// The prefixes of user ids in a database connection, and in the passwordless e-mail connection.
const (
	prefixDatabase = "auth0|"
	prefixEmail    = "email|"
)

// The scopes that the application may need; [Config.Scopes] has those of a configuration.
const (
	scopeCreate = "create:users"
	scopeRead   = "read:users"
	scopeDelete = "delete:users"
	scopeUpdate = "update:users"
	scopeTicket = "create:user_tickets"

	scopeReadRoles  = "read:roles"
	scopeAddRole    = "create:role_members"
	scopeRemoveRole = "delete:role_members"
	scopeConnection = "read:connections"

	scopeReadOrganization   = "read:organizations"
	scopeCreateOrganization = "create:organizations"
	scopeDeleteOrganization = "delete:organizations"
	scopeReadConnections    = "read:organization_connections"
	scopeEnableConnection   = "create:organization_connections"
	scopeReadMembers        = "read:organization_members"
	scopeAddMember          = "create:organization_members"
	scopeRemoveMember       = "delete:organization_members"
	scopeAddMemberRole      = "create:organization_member_roles"
	scopeRemoveMemberRole   = "delete:organization_member_roles"
)

// Values of errorCode, which is optional: refusals of passwords and of tokens have none.
const (
	codeExists     = "auth0_idp_error"
	codeNotFound   = "inexistent_user"
	codeConnection = "inexistent_connection"
	codeNameTaken  = "organization_conflict"
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
	// headerForwarded is the address of the person who logs in, so that Auth0 blocks that address rather than ours.
	headerForwarded = "auth0-forwarded-for"
)
