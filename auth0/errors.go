package auth0

import (
	"net/http"
	"regexp"
	"strings"

	"homeroom/identity"
	"homeroom/internal/remote"
	"homeroom/messages"
)

// failure maps a refusal of the Management API to an error of package identity. It uses statuses and codes first, and
// messages only if there is nothing else, since they change.
func (c *Client) failure(req call, ans remote.Answer) error {
	var p struct {
		Message string `json:"message"`
		Code    string `json:"errorCode"`
	}
	_ = ans.Decode(&p) // not JSON: a proxy's page contains no more than its status
	cause := c.remote.Quote(req.Call, ans, p.Code, p.Message)
	hint := func(format string, args ...any) error {
		return &identity.Misconfigured{Hint: c.cfg.Settings.Sprintf(format, args...), Err: cause}
	}

	switch {
	case ans.Status < 300, ans.Transient():
		return c.remote.Unavailable(req.Call, ans, cause)
	case p.Code == codeNotFound && ans.Status == http.StatusNotFound:
		return identity.ErrNotFound
	case ans.Status == http.StatusNotFound && p.Code == "" && req.missing != nil:
		return req.missing
	case ans.Status == http.StatusConflict && req.Creates && (p.Code == codeExists || p.Code == "" && p.Message != ""),
		p.Code == codeNameTaken:
		return identity.ErrExists
	case p.Code == codeDomains:
		return hint("the Auth0 tenant has several custom domains: name the one for mails and links ($CustomDomain)")
	case p.Code == codeConnection:
		return hint("the Auth0 tenant has no connection %q: see Authentication, Database, and $Connection", c.cfg.connection())
	case p.Code == codeScope:
		return hint("grant the scope %s of the Auth0 Management API to the application %s; as Homeroom is configured, "+
			"it needs %s", req.scope, c.cfg.ClientID, strings.Join(c.cfg.Scopes(), " "))
	case ans.Status == http.StatusUnauthorized:
		return hint("Auth0 refuses even a fresh access token: check $Domain and $ManagementAudience")
	case ans.Status == http.StatusNotFound, ans.Status >= 300 && ans.Status < 400:
		return hint("this is not the Management API of an Auth0 tenant: check $Domain or $BaseURL")
	}
	if rejected := c.rejection(req, ans.Status, p.Code, p.Message); rejected != nil {
		return rejected
	}
	return hint("Auth0 refuses what Homeroom asks: check the connection %q and the application's rights in the Auth0 dashboard", c.cfg.connection())
}

// tokenHint is the hint for a refusal of the token endpoint.
func (c Config) tokenHint(status int, code string) string {
	switch {
	case code == "unauthorized_client":
		return "turn on the grant type Client Credentials of the application " + c.ClientID + ": it must be of the type Machine to Machine"
	case status == http.StatusUnauthorized, code == "invalid_client":
		return c.Settings.Sprintf("check $ClientID and $ClientSecret")
	case code == "access_denied":
		return c.Settings.Sprintf("authorise the application %s for the Auth0 Management API with the scopes %s; "+
			"the API is %s ($ManagementAudience)", c.ClientID, strings.Join(c.Scopes(), " "), c.ManagementAudience)
	default:
		return c.Settings.Sprintf("check $Domain and the application's settings")
	}
}

var (
	// passwordError recognises a refused password: such answers have no errorCode.
	passwordError = regexp.MustCompile(`^(Password\w*)Error:\s*(.+)$`)
	property      = regexp.MustCompile(`on property (\w+)`)
)

var passwordCodes = map[string]string{
	"PasswordStrength":   "too_weak",
	"PasswordDictionary": "too_common",
	"PasswordNoUserInfo": "contains_user_info",
	"PasswordHistory":    "used_before",
}

// fields are the members of a create that people fill in: Auth0's name, ours, and the message.
var fields = map[string]identity.Rejected{
	"email":       {Field: "email", Message: messages.ID("field.provider_email")},
	"password":    {Field: "password", Message: messages.ID("field.provider_password")},
	"given_name":  {Field: "givenName", Message: messages.ID("field.provider_name")},
	"family_name": {Field: "familyName", Message: messages.ID("field.provider_name")},
	"name":        {Field: "name", Message: messages.ID("field.provider_name")},
}

// rejection returns the refusal of a field that a person filled in; nil if the answer is something else.
func (c *Client) rejection(req call, status int, code, message string) *identity.Rejected {
	if status != http.StatusBadRequest || (req.Route != routeUsers || !req.Creates) && !req.setsPassword {
		return nil
	}
	message = strings.Join(strings.Fields(message), " ")
	if m := passwordError.FindStringSubmatch(message); m != nil && c.cfg.Login == LoginPassword {
		r := &identity.Rejected{
			Field: "password", Code: passwordCodes[m[1]], Message: messages.Verbatim(sentence(c.remote.Redact(req.Call, m[2]))),
		}
		if r.Code == "" {
			r.Code = "not_accepted"
		}
		return r
	}
	if m := property.FindStringSubmatch(message); m != nil && code == codeBody {
		if r, ok := fields[m[1]]; ok {
			r.Code = "invalid_format"
			return &r
		}
	}
	return nil
}

// sentence adds the full stop that Auth0's messages do not have.
func sentence(s string) string {
	if strings.HasSuffix(s, ".") || strings.HasSuffix(s, "!") || s == "" {
		return s
	}
	return s + "."
}
