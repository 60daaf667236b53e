package beyondidentity

import (
	"net/http"
	"regexp"
	"strings"

	"homeroom/identity"
	"homeroom/internal/remote"
	"homeroom/messages"
)

// problem is the body of a refusal, decoded leniently: that of version 1 is not documented, and in Beyond Identity's
// apps its users have a member "error".
type problem struct {
	Code    any `json:"code"`
	Message any `json:"message"`
	Error   any `json:"error"`
	Details []struct {
		Violations []struct {
			Field string `json:"field"`
		} `json:"field_violations"`
	} `json:"details"`
	// code and message are its code and text.
	code, message string
}

func readProblem(ans remote.Answer) problem {
	var p problem
	_ = ans.Decode(&p) // a proxy's page contains no more than its status
	p.code, _ = p.Code.(string)
	for _, value := range []any{p.Message, p.Error} {
		if text, ok := value.(string); ok && p.message == "" {
			p.message = text
		}
	}
	return p
}

// taken matches texts about conflicts that have another status.
var taken = regexp.MustCompile(`(?i)\balready (exists?|taken)\b`)

// failure maps a refusal to an error of package identity. scope is the scope that the call needs, for hints to
// operators.
func (c *Client) failure(req remote.Call, ans remote.Answer, scope string) error {
	p := readProblem(ans)
	cause := c.remote.Quote(req, ans, p.code, p.message)
	hint := func(text string) error {
		return &identity.Misconfigured{Hint: c.cfg.Settings.Sprintf(text), Err: cause}
	}
	if refused := ans.Status == http.StatusUnauthorized || ans.Status == http.StatusForbidden; refused && c.cfg.Version == V1 && !req.Creates {
		// Version 1 documents no call to find or remove a user.
		return hint("$APIToken is not valid for version 2 of the API, where users are found and removed: create a client " +
			"in the Admin Console with the scopes " + scopeCreate + ", " + scopeRead + " and " + scopeDelete +
			", set $ClientID and $ClientSecret, and remove the token")
	}
	value := p.code != "" || p.message != ""

	switch {
	case ans.Status < 300, ans.Transient():
		return c.remote.Unavailable(req, ans, cause)
	case req.Creates && ans.Status == http.StatusConflict && value,
		req.Creates && ans.Status == http.StatusBadRequest && taken.MatchString(p.message):
		return identity.ErrExists
	case ans.Status == http.StatusUnauthorized:
		return hint("Beyond Identity refuses the access token: check $APIToken, or create a new client, and " +
			"check that $BaseURL is your region's")
	case ans.Status == http.StatusForbidden:
		return hint("grant the scope " + scope + " to the token or the client, in the Admin Console of Beyond Identity")
	case ans.Status == http.StatusNotFound && value:
		return identity.ErrNotFound
	case ans.Status == http.StatusNotFound, ans.Status < 400:
		return hint("this is not the API of Beyond Identity: check $BaseURL and $Version")
	}
	if rejected := p.rejection(req, ans.Status); rejected != nil {
		return rejected
	}
	return hint("Beyond Identity refuses what Homeroom asks: check $Version")
}

// rejection returns the refusal of a field that a person filled in; nil if the answer is something else. Fields have a
// path, such as "user.email_address".
func (p problem) rejection(req remote.Call, status int) *identity.Rejected {
	if status != http.StatusBadRequest || !req.Creates {
		return nil
	}
	for _, d := range p.Details {
		for _, v := range d.Violations {
			switch v.Field[strings.LastIndexByte(v.Field, '.')+1:] {
			case "email_address", "email", "username", "user_name":
				return &identity.Rejected{
					Field: "email", Code: "invalid_format",
					Message: messages.ID("field.provider_email"),
				}
			case "display_name":
				return &identity.Rejected{
					Field: "name", Code: "invalid_format", Message: messages.ID("field.provider_name"),
				}
			}
		}
	}
	return nil
}

// tokenHint is the hint for a refusal of an access token.
func (c Config) tokenHint(status int, code string) string {
	if status == http.StatusUnauthorized || code == "invalid_client" {
		return c.Settings.Sprintf("check $ClientID and $ClientSecret")
	}
	return c.Settings.Sprintf("check $BaseURL, and the client in the Admin Console of Beyond Identity")
}
