package auth0

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"homeroom/identity"
)

// failure turns a refusal of the Management API into an error of package identity. Statuses and codes decide; messages
// only where there is nothing else, for they change.
func (c *Client) failure(req call, ans answer) error {
	var p struct {
		Message string `json:"message"`
		Code    string `json:"errorCode"`
	}
	_ = json.Unmarshal(ans.body, &p) // not JSON: a proxy's page, which tells no more than its status
	cause := c.quote(req, ans.status, p.Code, p.Message)
	hint := func(text string) error { return &identity.Misconfigured{Hint: text, Err: cause} }

	switch {
	case ans.status < 300: // a success, but not the one that was asked for
		return &identity.Unavailable{Unknown: req.creates, Err: cause}
	case passing(ans.status):
		return c.passing(req, ans, cause)
	case p.Code == codeNotFound && ans.status == http.StatusNotFound:
		return identity.ErrNotFound
	case ans.status == http.StatusNotFound && p.Code == "" && req.missing != nil:
		return req.missing
	case ans.status == http.StatusConflict && req.creates && (p.Code == codeExists || p.Code == "" && p.Message != ""),
		p.Code == codeNameTaken:
		return identity.ErrExists
	case p.Code == codeDomains:
		return hint("the Auth0 tenant has several custom domains: say which one mails shall speak of (AUTH0_CUSTOM_DOMAIN)")
	case p.Code == codeConnection:
		return hint(fmt.Sprintf("the Auth0 tenant has no connection %q: see Authentication, Database, and AUTH0_CONNECTION", c.cfg.connection()))
	case p.Code == codeScope:
		return hint(fmt.Sprintf("grant the scope %s of the Auth0 Management API to the application %s; as Homeroom is set up, "+
			"it needs %s", req.scope, c.cfg.ClientID, strings.Join(c.cfg.Scopes(), " ")))
	case ans.status == http.StatusUnauthorized:
		return hint("Auth0 refuses even a fresh access token: check AUTH0_DOMAIN and AUTH0_MANAGEMENT_AUDIENCE")
	case ans.status == http.StatusNotFound, ans.status >= 300 && ans.status < 400:
		return hint("this is not the Management API of an Auth0 tenant: check AUTH0_DOMAIN or AUTH0_BASE_URL")
	}
	if rejected := c.rejection(req, ans.status, p.Code, p.Message); rejected != nil {
		return rejected
	}
	return hint("Auth0 refuses what Homeroom asks: check the connection " + strconv.Quote(c.cfg.connection()) +
		" and the application's rights in the Auth0 dashboard")
}

// tokenFailure is failure for the token endpoint, whose errors are OAuth's. A missing token never leaves an outcome
// unknown.
func (c *Client) tokenFailure(req call, ans answer) error {
	var p struct {
		Code        string `json:"error"`
		Description string `json:"error_description"`
	}
	_ = json.Unmarshal(ans.body, &p)
	cause := c.quote(req, ans.status, p.Code, p.Description)
	var hint string
	switch {
	case passing(ans.status):
		return c.passing(req, ans, cause)
	case p.Code == "unauthorized_client":
		hint = "turn on the grant type Client Credentials of the application " + c.cfg.ClientID + ": it must be of the type Machine to Machine"
	case ans.status == http.StatusUnauthorized, p.Code == "invalid_client":
		hint = "check AUTH0_CLIENT_ID and AUTH0_CLIENT_SECRET"
	case p.Code == "access_denied":
		hint = fmt.Sprintf("authorise the application %s for the Auth0 Management API with the scopes %s; "+
			"the API is %s (AUTH0_MANAGEMENT_AUDIENCE)",
			c.cfg.ClientID, strings.Join(c.cfg.Scopes(), " "), c.cfg.ManagementAudience)
	default:
		hint = "check AUTH0_DOMAIN and the application's settings"
	}
	return &identity.Misconfigured{Hint: hint, Err: cause}
}

// passing tells whether a status is about the tenant's state rather than about the request.
func passing(status int) bool {
	return status == http.StatusTooManyRequests || status == http.StatusRequestTimeout ||
		status >= http.StatusInternalServerError
}

func (c *Client) passing(req call, ans answer, cause error) error {
	if ans.status == http.StatusTooManyRequests {
		return throttled(retryAfter(ans, c.cfg.Now()), cause)
	}
	// A gateway may say 502 or 504 after the work was done behind it.
	u := &identity.Unavailable{Unknown: req.creates, Err: cause}
	if ans.header.Get("Retry-After") != "" {
		u.RetryAfter = retryAfter(ans, c.cfg.Now())
	}
	return u
}

// retryAfter is how long the answer asks to wait, between one second and [maxRetryAfter].
func retryAfter(ans answer, now time.Time) time.Duration {
	wait := time.Second
	after := ans.header.Get("Retry-After")
	if seconds, err := strconv.ParseInt(after, 10, 32); err == nil {
		wait = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(after); err == nil {
		wait = at.Sub(now)
	} else if reset, err := strconv.ParseInt(ans.header.Get(headerReset), 10, 64); err == nil {
		wait = time.Unix(reset, 0).Sub(now)
	}
	return min(max(wait, time.Second), maxRetryAfter)
}

var (
	// passwordError is all there is to know a refused password by: such answers have no errorCode.
	passwordError = regexp.MustCompile(`^(Password\w*)Error:\s*(.+)$`)
	property      = regexp.MustCompile(`on property (\w+)`)
)

var passwordCodes = map[string]string{
	"PasswordStrength":   "too_weak",
	"PasswordDictionary": "too_common",
	"PasswordNoUserInfo": "contains_user_info",
	"PasswordHistory":    "used_before",
}

// fields are the members of a create that people fill in: Auth0's name, ours, and what to say.
var fields = map[string]identity.Rejected{
	"email":       {Field: "email", Message: "This is not an e-mail address that the identity provider accepts."},
	"password":    {Field: "password", Message: "The identity provider does not accept this password."},
	"given_name":  {Field: "givenName", Message: "The identity provider does not accept this name."},
	"family_name": {Field: "familyName", Message: "The identity provider does not accept this name."},
	"name":        {Field: "name", Message: "The identity provider does not accept this name."},
}

// rejection is the refusal of a field that a person filled in; nil when it is not one.
func (c *Client) rejection(req call, status int, code, message string) *identity.Rejected {
	if status != http.StatusBadRequest || (req.route != routeUsers || !req.creates) && !req.setsPassword {
		return nil
	}
	message = strings.Join(strings.Fields(message), " ")
	if m := passwordError.FindStringSubmatch(message); m != nil && c.cfg.Login == LoginPassword {
		r := &identity.Rejected{Field: "password", Code: passwordCodes[m[1]], Message: sentence(c.redact(req, m[2]))}
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

// sentence ends a message of Auth0's, which have no full stop, as a sentence.
func sentence(s string) string {
	if strings.HasSuffix(s, ".") || strings.HasSuffix(s, "!") || s == "" {
		return s
	}
	return s + "."
}

// quote says what the tenant answered, in a form that is fit for a log.
func (c *Client) quote(req call, status int, code, message string) error {
	parts := []string{fmt.Sprintf("%s %s: %d %s", req.method, req.route, status, http.StatusText(status))}
	for _, part := range []string{code, message} {
		if part != "" {
			parts = append(parts, c.redact(req, part))
		}
	}
	return errors.New(strings.Join(parts, ": "))
}
