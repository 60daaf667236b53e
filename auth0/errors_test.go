package auth0_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"homeroom/identity"
	"homeroom/messages"
)

// class is the class of an error for a caller of the provider.
type class string

const (
	exists        class = "exists"
	absent        class = "not found"
	rejected      class = "rejected"
	misconfigured class = "misconfigured"
	temporary     class = "temporary"
	throttled     class = "throttled"
	unknown       class = "outcome unknown"
)

func classOf(err error) class {
	var r *identity.Rejected
	var m *identity.Misconfigured
	var u *identity.Unavailable
	switch {
	case errors.Is(err, identity.ErrExists):
		return exists
	case errors.Is(err, identity.ErrNotFound):
		return absent
	case errors.As(err, &r):
		return rejected
	case errors.As(err, &m):
		return misconfigured
	case errors.As(err, &u) && u.Throttled && !u.Unknown:
		return throttled
	case identity.OutcomeUnknown(err):
		return unknown
	case identity.Temporary(err):
		return temporary
	default:
		return class(fmt.Sprint("unclassified: ", err))
	}
}

// checkError checks an error's class, and that its text contains what it must, and no secrets.
func checkError(t *testing.T, err error, want class, says ...string) {
	t.Helper()
	if got := classOf(err); got != want {
		t.Errorf("class is %q, want %q: %v", got, want, err)
	}
	text := fmt.Sprintf("%v %+v %#v", err, err, err)
	for _, s := range says {
		if !strings.Contains(text, s) {
			t.Errorf("error does not contain %q: %v", s, err)
		}
	}
	for _, s := range []string{password, clientSecret, accessToken, email, "canary"} {
		if strings.Contains(strings.ToLower(text), strings.ToLower(s)) {
			t.Errorf("error contains %q: %v", s, err)
		}
	}
}

// refusal is an answer with a status and a body.
type refusal struct {
	status int
	body   string
}

// coded returns a refusal with an errorCode.
func coded(status int, code, message string) refusal {
	return refusal{status, fmt.Sprintf(`{"statusCode":%d,"error":%q,"message":%q,"errorCode":%q}`,
		status, http.StatusText(status), message, code)}
}

// bare returns a refusal without errorCode, as those of passwords and tokens are.
func bare(status int, message string) refusal {
	return refusal{status, fmt.Sprintf(`{"statusCode":%d,"error":%q,"message":%q}`, status, http.StatusText(status), message)}
}

func TestCreateClassifiesAnswers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer refusal
		want   class
		says   []string
	}{
		"user exists":                 {coded(409, "auth0_idp_error", "The user already exists."), exists, nil},
		"conflict without code":       {bare(409, "The user already exists."), exists, nil},
		"several custom domains":      {coded(409, "custom_domain_conflict", "The tenant has multiple verified custom domains."), misconfigured, []string{"CustomDomain"}},
		"a conflict of a proxy":       {refusal{409, "<html>conflict</html>"}, misconfigured, nil},
		"connection absent":           {coded(400, "inexistent_connection", "The connection does not exist."), misconfigured, []string{"Connection", "Username-Password-Authentication"}},
		"connection disabled":         {bare(400, "Connection is disabled."), misconfigured, []string{"Connection is disabled."}},
		"unknown member":              {coded(400, "invalid_body", "Payload validation error: 'Additional properties not allowed: x'."), misconfigured, []string{"invalid_body", "Additional properties"}},
		"not an e-mail":               {coded(400, "invalid_body", "Payload validation error: 'Object didn't pass validation for format email: "+email+"' on property email (The user's email)."), rejected, []string{"email", "e-mail address"}},
		"name too long":               {coded(400, "invalid_body", "Payload validation error: 'String is too long (151 chars), maximum 150' on property given_name (The user's given name(s))."), rejected, []string{"givenName"}},
		"another bad property":        {coded(400, "invalid_body", "Payload validation error: 'String does not match pattern' on property user_id (The id)."), misconfigured, []string{"user_id"}},
		"weak password":               {bare(400, "PasswordStrengthError: Password is too weak"), rejected, []string{"Password is too weak."}},
		"refused token":               {bare(401, "Invalid token"), misconfigured, []string{"ManagementAudience", "Invalid token"}},
		"missing scope":               {coded(403, "insufficient_scope", "Insufficient scope, expected any of: create:users"), misconfigured, []string{"create:users", "client-id"}},
		"other 403":                   {coded(403, "insufficient_entitlement", "Not entitled."), misconfigured, []string{"insufficient_entitlement"}},
		"not found":                   {refusal{404, "Not Found"}, misconfigured, []string{"Domain"}},
		"redirect":                    {refusal{307, ""}, misconfigured, []string{"Domain"}},
		"too large":                   {refusal{413, ""}, misconfigured, []string{"413"}},
		"rate limit":                  {coded(429, "too_many_requests", "Global limit has been reached"), throttled, nil},
		"request timeout":             {refusal{408, ""}, unknown, nil},
		"server error":                {coded(500, "", "Internal error"), unknown, nil},
		"bad gateway":                 {refusal{502, "<html>" + password + "</html>"}, unknown, nil},
		"unavailable":                 {refusal{503, ""}, unknown, nil},
		"gateway timeout":             {refusal{504, ""}, unknown, nil},
		"not implemented":             {refusal{501, ""}, misconfigured, []string{"501"}},
		"success of another kind":     {refusal{202, ""}, unknown, nil},
		"success without a body":      {refusal{201, ""}, unknown, nil},
		"success of a captive portal": {refusal{200, "<html>Welcome</html>"}, unknown, nil},
		"somebody else made":          {refusal{201, `{"user_id":"auth0|other"}`}, unknown, nil},
		"half a body":                 {refusal{201, `{"user_id":"auth0|`}, unknown, nil},
		"everything repeated":         {bare(400, "You sent "+password+" for "+strings.ToUpper(email)+" with Bearer "+accessToken+"; secret "+clientSecret), misconfigured, []string{"[redacted]"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tenant := &fakeTenant{api: func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", "/elsewhere")
				respond(w, c.answer.status, c.answer.body)
			}}
			_, err := tenant.serve(t).Create(context.Background(), newUser())
			checkError(t, err, c.want, c.says...)
			sent := 1
			if name == "refused token" {
				sent = 2
			}
			if n := tenant.count("POST /api/v2/users"); n != sent {
				t.Errorf("sent %d times, want %d", n, sent)
			}
			if n := tenant.count("POST /elsewhere"); n != 0 {
				t.Error("followed a redirect with the password")
			}
		})
	}
}

func TestPasswordRefusalsHaveCodes(t *testing.T) {
	t.Parallel()
	for message, want := range map[string]identity.Rejected{
		"PasswordStrengthError: Password is too weak":                    {Code: "too_weak", Message: messages.Verbatim("Password is too weak.")},
		"PasswordDictionaryError: Password is too common":                {Code: "too_common", Message: messages.Verbatim("Password is too common.")},
		"PasswordNoUserInfoError: Password contains user information":    {Code: "contains_user_info", Message: messages.Verbatim("Password contains user information.")},
		"PasswordHistoryError: Password has previously been used":        {Code: "used_before", Message: messages.Verbatim("Password has previously been used.")},
		"PasswordSomethingNewError: Use\n at least  15 characters!":      {Code: "not_accepted", Message: messages.Verbatim("Use at least 15 characters!")},
		"PasswordStrengthError: " + password + " has too few characters": {Code: "too_weak", Message: messages.Verbatim("[redacted] has too few characters.")},
	} {
		t.Run(want.Code, func(t *testing.T) {
			t.Parallel()
			tenant := &fakeTenant{api: func(w http.ResponseWriter, _ *http.Request) {
				respond(w, 400, fmt.Sprintf(`{"statusCode":400,"error":"Bad Request","message":%q}`, message))
			}}
			_, err := tenant.serve(t).Create(context.Background(), newUser())
			want.Field = "password"
			var got *identity.Rejected
			if !errors.As(err, &got) || !reflect.DeepEqual(*got, want) {
				t.Errorf("got %+v (%v), want %+v", got, err, want)
			}
		})
	}
}

func TestReadsAndDeletesClassifyAnswers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status            int
		body              string
		lookup, mail, del class // "" is a success
	}{
		"no such user":       {404, `{"statusCode":404,"error":"Not Found","message":"The user does not exist.","errorCode":"inexistent_user"}`, absent, absent, ""},
		"no such path":       {404, `{"statusCode":404,"error":"Not Found","message":"Not Found"}`, misconfigured, misconfigured, misconfigured},
		"missing scope":      {403, `{"statusCode":403,"message":"Insufficient scope, expected any of: read:users","errorCode":"insufficient_scope"}`, misconfigured, misconfigured, misconfigured},
		"a conflict":         {409, `{"statusCode":409,"message":"x"}`, misconfigured, misconfigured, misconfigured},
		"rate limit":         {429, ``, throttled, throttled, throttled},
		"server error":       {500, ``, temporary, temporary, temporary},
		"timeout":            {408, ``, temporary, temporary, temporary},
		"unreadable success": {200, `<html>`, temporary, temporary, ""},
		"null":               {200, `null`, temporary, temporary, ""},
		"another user":       {200, `{"user_id":"auth0|other"}`, temporary, temporary, ""},
		"accepted":           {202, ``, temporary, temporary, temporary},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tenant := &fakeTenant{api: func(w http.ResponseWriter, _ *http.Request) { respond(w, c.status, c.body) }}
			user, ctx := newUser(), context.Background()
			_, err := tenant.serve(t).Lookup(ctx, user.ID)
			checkError(t, err, c.lookup)
			_, err = tenant.serve(t).LookupEmail(ctx, user.Email)
			checkError(t, err, c.mail)
			err = tenant.serve(t).Delete(ctx, user.ID)
			if c.del != "" {
				checkError(t, err, c.del)
			} else if err != nil {
				t.Errorf("delete: %v, want success", err)
			}
		})
	}
}

func TestTokenRefusalsAreHints(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status int
		body   string
		want   class
		says   []string
	}{
		"wrong secret":           {401, `{"error":"access_denied","error_description":"Unauthorized"}`, misconfigured, []string{"ClientSecret", "Unauthorized"}},
		"as documented":          {401, `{"error":"invalid_client","error_description":"Client authentication failed"}`, misconfigured, []string{"ClientSecret"}},
		"no client grant":        {403, `{"error":"access_denied","error_description":"Client is not authorized to access \"A\". You need to create a \"client-grant\" associated to this API."}`, misconfigured, []string{"authorise the application client-id", "create:users", "client-grant"}},
		"unknown audience":       {403, `{"error":"access_denied","error_description":"Service not found: A"}`, misconfigured, []string{"ManagementAudience", "/api/v2/"}},
		"grant type off":         {403, `{"error":"unauthorized_client","error_description":"Grant type 'client_credentials' not allowed for the client."}`, misconfigured, []string{"Client Credentials"}},
		"another refusal":        {400, `{"error":"invalid_request","error_description":"secret ` + clientSecret + `"}`, misconfigured, []string{"invalid_request"}},
		"a page":                 {404, `<html>`, misconfigured, []string{"Domain"}},
		"quota":                  {429, `{"error":"too_many_requests","error_description":"Client quota exceeded"}`, throttled, nil},
		"server error":           {503, ``, temporary, nil},
		"success without token":  {200, `{}`, temporary, nil},
		"success without sense":  {200, `<html>`, temporary, nil},
		"success of other types": {200, `{"access_token":7}`, temporary, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tenant := &fakeTenant{token: func(w http.ResponseWriter, _ *http.Request) { respond(w, c.status, c.body) }}
			client := tenant.serve(t)
			_, err := client.Create(context.Background(), newUser())
			checkError(t, err, c.want, c.says...)
			checkError(t, client.Warm(context.Background()), c.want)
			if n := tenant.count("POST /api/v2/users"); n != 0 {
				t.Error("a create was sent without a token")
			}
		})
	}
}
