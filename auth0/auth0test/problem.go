package auth0test

import (
	"encoding/json"
	"net/http"
)

// Codes of the Management API. Not every refusal has one: those of passwords, of tokens and of missing roles have none.
const (
	codeUserExists           = "auth0_idp_error"
	codeUserMissing          = "inexistent_user"
	codeConnectionMissing    = "inexistent_connection"
	codeBody                 = "invalid_body"
	codeURI                  = "invalid_uri"
	codeQuery                = "invalid_query_string"
	codePaging               = "invalid_paging"
	codeScope                = "insufficient_scope"
	codeCustomDomainConflict = "custom_domain_conflict"
	codeTooManyRequests      = "too_many_requests"
	codeOrganizationConflict = "organization_conflict"
	codeConnectionConflict   = "connection_conflict"
)

// problem is an error of the Management API.
type problem struct {
	Status     int         `json:"statusCode"`
	Error      string      `json:"error"`
	Message    string      `json:"message"`
	Code       string      `json:"errorCode,omitempty"`
	Attributes *attributes `json:"attributes,omitempty"`
}

// attributes repeat the message in refusals of a token [FIELD].
type attributes struct {
	Error string `json:"error"`
}

func (p problem) write(w http.ResponseWriter) {
	p.Error = http.StatusText(p.Status)
	writeJSON(w, p.Status, p)
}

// fail writes the answer of a fault, or to a body that is larger than any profile may be [GUESS].
func fail(w http.ResponseWriter, status int) {
	message := "Injected failure"
	if status == http.StatusRequestEntityTooLarge {
		message = "Payload content length greater than maximum allowed: 1048576"
	}
	problem{Status: status, Message: message}.write(w)
}

// badBody refuses the request's body with a reason, in the form that was recorded at other endpoints.
func badBody(reason string) *problem {
	return &problem{
		Status: http.StatusBadRequest, Code: codeBody,
		Message: "Payload validation error: '" + reason + "'.",
	}
}

// badField refuses one property of the request's body.
func badField(reason, property, description string) *problem {
	return &problem{
		Status: http.StatusBadRequest, Code: codeBody,
		Message: "Payload validation error: '" + reason + "' on property " + property + " (" + description + ").",
	}
}

// writeJSON answers as the Management API does.
func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	writeBody(w, status, body)
}

func writeBody(w http.ResponseWriter, status int, body any) {
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(body) // written into memory
}

// oauthError is an error of /oauth/token, which has another format than those of the Management API.
type oauthError struct {
	Status      int    `json:"-"`
	Code        string `json:"error"`
	Description string `json:"error_description"`
	URI         string `json:"error_uri,omitempty"`
}

func (e *oauthError) write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "private, no-store, no-cache, must-revalidate, post-check=0, pre-check=0, no-transform")
	writeBody(w, e.Status, e)
}
