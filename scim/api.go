package scim

// The paths of Asgardeo. https://wso2.com/asgardeo/docs/apis/.
const (
	tokenPath = "/oauth2/token"
	usersPath = "/scim2/Users"
	// https://wso2.com/asgardeo/docs/apis/roles-v2/.
	rolesPath = "/scim2/v2/Roles"
	// https://wso2.com/asgardeo/docs/apis/application-management/.
	applicationsPath = "/api/server/v1/applications"
	// resource is the suffix of one resource of a path.
	resource = "/{id}"
)

// The scopes that the client needs at Asgardeo. A token has only requested scopes.
const (
	scopeCreate       = "internal_user_mgt_create"
	scopeList         = "internal_user_mgt_list"
	scopeView         = "internal_user_mgt_view"
	scopeUpdate       = "internal_user_mgt_update"
	scopeDelete       = "internal_user_mgt_delete"
	scopeRoles        = "internal_role_mgt_view"
	scopeRoleUpdate   = "internal_role_mgt_update"
	scopeApplications = "internal_application_mgt_view"
)

// https://www.rfc-editor.org/rfc/rfc7644#section-8.1 and https://www.rfc-editor.org/rfc/rfc7643#section-10.
const (
	mediaType        = "application/scim+json"
	schemaUser       = "urn:ietf:params:scim:schemas:core:2.0:User"
	schemaEnterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
	schemaPatch      = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
)

// Values of scimType. https://www.rfc-editor.org/rfc/rfc7644#section-3.12.
const (
	typeUniqueness = "uniqueness"
	typeNoTarget   = "noTarget"
)

// pageSize is the requested number of results: Asgardeo returns no more than 100 on a page.
const pageSize = "100"
