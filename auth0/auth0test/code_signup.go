package auth0test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// signupProblem is an error of /dbconnections/signup, which has its own format: recorded by Auth0's SDK tests.
type signupProblem struct {
	Name        string `json:"name"`
	Message     string `json:"message,omitempty"`
	Code        string `json:"code"`
	Description any    `json:"description"`
	Policy      string `json:"policy,omitempty"`
	StatusCode  int    `json:"statusCode"`
}

// signupBody is the body of a public sign-up.
type signupBody struct {
	ClientID     string            `json:"client_id"`
	Connection   string            `json:"connection"`
	Email        string            `json:"email"`
	Password     string            `json:"password"`
	UserMetadata map[string]string `json:"user_metadata"`
}

// postSignup is POST /dbconnections/signup: https://auth0.com/docs/api/authentication/signup/create-a-new-user. Its id has no
// "auth0|", as recorded.
func (s *Server) postSignup(w http.ResponseWriter, r *http.Request) {
	var body signupBody
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		badSignup("invalid_body", "Invalid body").write(w) // [GUESS]
		return
	}
	conn, refusal := s.checkSignup(body)
	if refusal != nil {
		refusal.write(w)
		return
	}
	members := map[string]any{"email": body.Email}
	if len(body.UserMetadata) > 0 {
		metadata := map[string]any{}
		for name, text := range body.UserMetadata {
			metadata[name] = text
		}
		members["user_metadata"] = metadata
	}
	user := s.newUser(conn, members)
	if refusal := conn.checkPassword(body.Password, user, nil); refusal != nil {
		conn.refusedSignup(refusal, body.Password).write(w)
		return
	}
	if refusal := s.insert(user, hashPassword(body.Password), true); refusal != nil {
		badSignup("invalid_signup", "Invalid sign up").write(w) // vague on purpose: it does not say that somebody has this address
		return
	}
	answer := map[string]any{"_id": user.Identities[0].UserID, "email_verified": false, "email": user.Email}
	if user.UserMetadata != nil {
		answer["user_metadata"] = user.UserMetadata
	}
	writeSignup(w, http.StatusOK, answer)
}

// checkSignup finds the connection, and refuses invalid sign-ups. Unless marked otherwise, this is a [GUESS].
func (s *Server) checkSignup(body signupBody) (Connection, *signupProblem) {
	conn, ok := s.connection(body.Connection)
	switch {
	case !s.isKnownClient(body.ClientID):
		return conn, badSignup("invalid_client", "Invalid client")
	case !ok || conn.Strategy != strategyDatabase:
		return conn, badSignup("invalid_signup", "Invalid sign up")
	case conn.NoSignup:
		return conn, badSignup("public_signup_disabled", "public signup is disabled") // the text is [FIELD]
	case !isEmail(body.Email) || tooManyProperties(body.UserMetadata):
		return conn, badSignup("invalid_signup", "Invalid sign up")
	}
	return conn, nil
}

func badSignup(code, description string) *signupProblem {
	return &signupProblem{Name: "BadRequestError", Code: code, Description: description, StatusCode: http.StatusBadRequest}
}

func (p *signupProblem) write(w http.ResponseWriter) { writeSignup(w, p.StatusCode, p) }

// tooManyProperties is documented: 10 at most, of 500 characters.
func tooManyProperties(metadata map[string]string) bool {
	for _, text := range metadata {
		if len(text) > 500 {
			return true
		}
	}
	return len(metadata) > 10
}

func writeSignup(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	writeBody(w, status, body)
}

// refusedSignup lists the rules that a weak password breaks, as password-sheriff does; other refusals have only their
// name.
func (c Connection) refusedSignup(refusal *problem, password string) *signupProblem {
	name, message, _ := strings.Cut(refusal.Message, ": ")
	answer := &signupProblem{Name: name, Message: message, Code: "invalid_password", StatusCode: http.StatusBadRequest}
	if name != "PasswordStrengthError" {
		answer.Code, answer.Description = map[string]string{
			"PasswordDictionaryError": "password_dictionary_error", "PasswordNoUserInfoError": "password_no_user_info_error",
		}[name], message // [DOC]
		return answer
	}
	rules := policies[c.Policy]
	if c.MinLength > 0 {
		rules.minLength = c.MinLength
	}
	length := passwordRule{
		Message: "At least %d characters in length", Format: []any{rules.minLength}, Code: "lengthAtLeast",
		Verified: len([]rune(password)) >= rules.minLength,
	}
	described := []passwordRule{length}
	policy := []string{"* " + fmt.Sprintf(length.Message, rules.minLength)}
	if rules.classes > 0 {
		described = append(described, classRule(rules, password))
		policy = append(policy, "* Contain at least 3 of the following 4 types of characters:",
			" * lower case letters (a-z)", " * upper case letters (A-Z)", " * numbers (i.e. 0-9)", " * special characters (e.g. !@#$%^&*)")
	}
	answer.Description = map[string]any{"rules": described, "verified": false}
	answer.Policy = strings.Join(policy, "\n")
	return answer
}

type passwordRule struct {
	Message  string         `json:"message"`
	Format   []any          `json:"format,omitempty"`
	Code     string         `json:"code"`
	Items    []passwordRule `json:"items,omitempty"`
	Verified bool           `json:"verified"`
}

func classRule(rules rules, password string) passwordRule {
	items := []passwordRule{
		{Message: "lower case letters (a-z)", Code: "lowerCase", Verified: strings.ContainsFunc(password, between('a', 'z'))},
		{Message: "upper case letters (A-Z)", Code: "upperCase", Verified: strings.ContainsFunc(password, between('A', 'Z'))},
		{Message: "numbers (i.e. 0-9)", Code: "numbers", Verified: strings.ContainsFunc(password, between('0', '9'))},
		{Message: "special characters (e.g. !@#$%^&*)", Code: "specialCharacters", Verified: strings.ContainsAny(password, specialCharacters)},
	}
	met := 0
	for _, item := range items {
		if item.Verified {
			met++
		}
	}
	return passwordRule{
		Message: "Contain at least %d of the following %d types of characters:", Format: []any{rules.classes, len(items)},
		Code: "containsAtLeast", Items: items, Verified: met >= rules.classes,
	}
}

func between(low, high rune) func(rune) bool {
	return func(r rune) bool { return low <= r && r <= high }
}
