package scim

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"homeroom/identity"
	"homeroom/internal/remote"
	"homeroom/internal/secret"
	"homeroom/messages"
)

// problem is the body of a refusal, decoded leniently: Asgardeo's "schemas" may be a bare string, its "status" a text or a
// number, and its management API has members of its own.
type problem struct {
	Type        any `json:"scimType"`
	Detail      any `json:"detail"`
	Message     any `json:"message"`
	Description any `json:"description"`
	Status      any `json:"status"`
	Schemas     any `json:"schemas"`
	// scim is true if the answer is a SCIM server's, not a proxy's.
	scim bool
	// kind and detail are its type and text.
	kind, detail string
}

func readProblem(ans remote.Answer) problem {
	var p problem
	_ = ans.Decode(&p) // a proxy's page contains no more than its status
	p.kind, _ = p.Type.(string)
	for _, value := range []any{p.Detail, p.Description, p.Message} {
		if text, ok := value.(string); ok && p.detail == "" {
			p.detail = strings.Join(strings.Fields(text), " ")
		}
	}
	p.scim = p.Schemas != nil || p.Status != nil || p.detail != ""
	return p
}

// errRefused means that the server refused the content of a request, and did nothing.
var errRefused = errors.New("the request was refused")

// failure maps a refusal to an error of package identity. scope is the scope that the call needs, for hints to
// operators.
func (c *Client) failure(req remote.Call, ans remote.Answer, scope string) error {
	p := readProblem(ans)
	cause := c.remote.Quote(req, ans, p.kind, p.detail)
	hint := func(format string, args ...any) error {
		return &identity.Misconfigured{Hint: c.cfg.Settings.Sprintf(format, args...), Err: cause}
	}

	switch {
	case ans.Status < 300, ans.Transient():
		return c.remote.Unavailable(req, ans, cause)
	case req.Creates && p.exists(ans.Status):
		return identity.ErrExists
	case ans.Status == http.StatusUnauthorized:
		return hint("the SCIM server refuses even a fresh access token: check $BaseURL, $TokenURL and $Scope")
	case ans.Status == http.StatusForbidden:
		return hint("grant the scope %s to the SCIM application, and ask for it ($Scope)", scope)
	case ans.Status == http.StatusNotFound && p.scim:
		return identity.ErrNotFound
	case ans.Status == http.StatusNotFound, ans.Status < 400:
		return hint("there is no SCIM server at %s: check $BaseURL", c.cfg.BaseURL+c.cfg.UsersPath)
	}
	if rejected := c.rejection(req, ans.Status, p); rejected != nil {
		return rejected
	}
	cause = fmt.Errorf("%w: %w", errRefused, cause)
	return hint("the SCIM server refuses what Homeroom asks: check $UserNamePrefix and the attributes that it requires")
}

// tokenHint is the hint for a refusal of an access token.
func (c Config) tokenHint(status int, code string) string {
	switch {
	case code == "unauthorized_client", code == "unsupported_grant_type":
		return "allow the grant Client Credentials to the SCIM application"
	case code == "invalid_scope":
		return c.Settings.Sprintf("the SCIM application may not ask for these scopes: check $Scope")
	case status == http.StatusUnauthorized, code == "invalid_client":
		return c.Settings.Sprintf("check $ClientID and $ClientSecret")
	default:
		return c.Settings.Sprintf("check $TokenURL")
	}
}

// takenWords matches texts about conflicts without RFC 7644's status.
var takenWords = regexp.MustCompile(`(?i)\b(already (exists?|taken|used|in use)|not unique|must be unique)\b`)

func (p problem) exists(status int) bool {
	return status == http.StatusConflict && p.scim ||
		status == http.StatusBadRequest && (p.kind == typeUniqueness || takenWords.MatchString(p.detail))
}

var (
	// errorNumber is the error's number at the beginning of Asgardeo's details.
	errorNumber = regexp.MustCompile(`\b(\d{5}) - `)
	// addingPrefix is Asgardeo's text before the cause, with the user name.
	addingPrefix = regexp.MustCompile(`^Error in adding the user: \S+\s*(to the user store\.)?\s*`)
	// patternSigns are characters of a regular expression, which a message for people should not contain.
	patternSigns = regexp.MustCompile(`[\\^${}\[\]<>]`)
	// passwordLike recognises a refused password, since servers have no common code for it.
	passwordLike = regexp.MustCompile(`(?i)passw|credential`)
)

// passwordCodes are Asgardeo's error numbers for passwords.
var passwordCodes = map[string]string{
	"20035": "too_weak", "30003": "too_weak", "30301": "too_weak", "22001": "used_before",
}

// nameCodes are Asgardeo's error numbers for user names, which are e-mails here.
var nameCodes = map[string]bool{"31301": true, "30007": true}

// rejection returns the refusal of a field that a person filled in; nil if the answer is something else.
func (c *Client) rejection(req remote.Call, status int, p problem) *identity.Rejected {
	setsPassword := req.Method == http.MethodPatch && req.Route == c.cfg.UsersPath+resource
	if status != http.StatusBadRequest || !req.Creates && !setsPassword {
		return nil
	}
	number := ""
	if m := errorNumber.FindStringSubmatch(p.detail); m != nil {
		number = m[1]
	}
	if nameCodes[number] || strings.Contains(p.detail, "emails") {
		return &identity.Rejected{
			Field: "email", Code: "invalid_format",
			Message: messages.ID("field.provider_email"),
		}
	}
	code := passwordCodes[number]
	if code == "" && !passwordLike.MatchString(p.kind+" "+p.detail) {
		return nil
	}
	switch {
	case code != "":
	case strings.Contains(strings.ToLower(p.kind+p.detail), "compromised"):
		code = "too_common"
	case p.kind == "" || p.kind == "invalidValue":
		code = "too_weak"
	default:
		code = "not_accepted"
	}
	return &identity.Rejected{Field: "password", Code: code, Message: c.userMessage(req, p.detail)}
}

// userMessage returns a detail about a password without numbers and prefixes; a general message if nothing is left, or
// a regular expression.
func (c *Client) userMessage(req remote.Call, detail string) messages.Message {
	text := errorNumber.ReplaceAllString(addingPrefix.ReplaceAllString(detail, ""), "")
	text = strings.TrimSpace(c.remote.Redact(req, text))
	if text == "" || patternSigns.MatchString(strings.ReplaceAll(text, secret.Redacted, "")) {
		return messages.ID("field.provider_password")
	}
	if !strings.HasSuffix(text, ".") && !strings.HasSuffix(text, "!") {
		text += "."
	}
	return messages.Verbatim(text)
}
