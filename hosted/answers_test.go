package hosted_test

import (
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"homeroom/hosted"
	"homeroom/identity"
)

func TestProviderErrorsAreClassified(t *testing.T) {
	t.Parallel()
	var unavailable *identity.Unavailable
	var misconfigured *identity.Misconfigured
	for code, want := range map[string]any{
		"access_denied": hosted.ErrAccessDenied, "unauthorized": hosted.ErrAccessDenied,
		"login_required": hosted.ErrLoginRequired, "interaction_required": hosted.ErrLoginRequired,
		"consent_required": hosted.ErrLoginRequired, "account_selection_required": hosted.ErrLoginRequired,
		"temporarily_unavailable": &unavailable, "server_error": &unavailable,
		"unauthorized_client": &misconfigured, "invalid_scope": &misconfigured, "anything": &misconfigured,
	} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			j := startRegistration(t, newFakeProvider(t))
			got := j.returnWith(map[string]string{"code": "", "error": code, "error_description": "a\nforged=line " + strings.Repeat("x", 900)})
			if !endedWith(got.err, want) {
				t.Errorf("it ended with %v", got.err)
			}
			if strings.Contains(got.err.Error(), "\n") || len(got.err.Error()) > 600 {
				t.Errorf("the log would hold %q", got.err.Error())
			}
			if got.state.ReturnTo != returnURL || j.fake.exchanged != nil {
				t.Errorf("the flow state is %+v", got.state)
			}
		})
	}
}

func TestTokenResponsesAreClassified(t *testing.T) {
	t.Parallel()
	var unavailable *identity.Unavailable
	var misconfigured *identity.Misconfigured
	for name, c := range map[string]struct {
		status int
		body   string
		want   any
	}{
		"used":           {403, `{"error":"invalid_grant","error_description":"Invalid authorization code canary-code"}`, hosted.ErrCodeRejected},
		"wrong verifier": {401, `{"error":"invalid_grant","error_description":"VERIFIER"}`, hosted.ErrCodeRejected},
		"wrong secret":   {401, `{"error":"access_denied","error_description":"homeroom-web-secret"}`, &misconfigured},
		"wrong client":   {401, `{"error":"invalid_client"}`, &misconfigured},
		"plain text":     {404, `no canary-code here`, &misconfigured},
		"rate limit":     {429, `{"error":"too_many_requests"}`, &unavailable},
		"down":           {503, `canary-code`, &unavailable},
		"no JSON":        {200, `<html>canary-code`, hosted.ErrUnverified},
		"a redirect":     {307, ``, &misconfigured},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newFakeProvider(t)
			elsewhere := false
			g.http.Config.Handler.(*http.ServeMux).HandleFunc("/elsewhere", func(http.ResponseWriter, *http.Request) { elsewhere = true })
			g.answer = func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				w.Header().Set("Retry-After", "7")
				w.Header().Set("Location", g.url+"/elsewhere")
				w.WriteHeader(c.status)
				fmt.Fprint(w, strings.ReplaceAll(c.body, "VERIFIER", r.PostFormValue("code_verifier")))
			}
			j := startRegistration(t, g)
			got := j.returnWith(nil)
			if !endedWith(got.err, c.want) {
				t.Errorf("it ended with %v", got.err)
			}
			if elsewhere {
				t.Error("the code was sent to where the answer redirected")
			}
			if c.status == 429 || c.status == 503 {
				if identity.RetryAfter(got.err) != 7*time.Second {
					t.Errorf("wait for %v", identity.RetryAfter(got.err))
				}
			}
			without(t, got.err.Error(), "canary", g.exchanged.Get("code_verifier"), "homeroom-web-secret")
		})
	}
}

// endedWith reports whether err is the wanted error, or has the type to which the wanted pointer points.
func endedWith(err error, want any) bool {
	if sentinel, ok := want.(error); ok {
		return errors.Is(err, sentinel)
	}
	return errors.As(err, reflect.New(reflect.TypeOf(want).Elem()).Interface()) // concurrent calls may want the same error
}
