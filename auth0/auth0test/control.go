package auth0test

import (
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"time"

	"homeroom/internal/flaky"
)

// newControls returns the controls of a simulator in another process: Server's methods over HTTP.
func (s *Server) newControls() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.getPage)
	mux.HandleFunc("POST /_sim/tokens", s.controlTokens)
	mux.HandleFunc("POST /_sim/faults", s.controlFaults)
	mux.HandleFunc("DELETE /_sim/faults", func(w http.ResponseWriter, _ *http.Request) {
		s.ClearFaults()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /_sim/users", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, s.Users()) })
	mux.HandleFunc("DELETE /_sim/users", func(w http.ResponseWriter, _ *http.Request) {
		s.DeleteAll()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /_sim/organizations", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, s.Organizations())
	})
	mux.HandleFunc("GET /_sim/mails", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, append([]Mail{}, s.Mails()...))
	})
	mux.HandleFunc("GET /_sim/calls", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, s.Calls()) })
	mux.HandleFunc("POST /_sim/keys/rotate", func(w http.ResponseWriter, _ *http.Request) {
		if err := s.RotateKeys(); err != nil {
			controlError(w, http.StatusInternalServerError, err)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	return mux
}

// span is a time.Duration written as "250ms".
type span time.Duration

// UnmarshalJSON implements [json.Unmarshaler].
func (d *span) UnmarshalJSON(raw []byte) error {
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return fmt.Errorf(`a duration is a text such as "250ms": %w`, err)
	}
	parsed, err := time.ParseDuration(text)
	*d = span(parsed)
	return err
}

func (s *Server) controlTokens(w http.ResponseWriter, r *http.Request) {
	var req struct {
		Subject     string         `json:"subject"`
		Permissions []string       `json:"permissions"`
		Scope       string         `json:"scope"`
		Audience    []string       `json:"audience"`
		ExpiresIn   span           `json:"expires_in"`
		Issuer      string         `json:"issuer"`
		KeyID       string         `json:"key_id"`
		WrongKey    bool           `json:"wrong_key"`
		Claims      map[string]any `json:"claims"`
	}
	if !readControl(w, r, &req) {
		return
	}
	token := s.IssueToken(TokenRequest{
		Subject: req.Subject, Permissions: req.Permissions, Scope: req.Scope, Audience: req.Audience,
		ExpiresIn: time.Duration(req.ExpiresIn), Issuer: req.Issuer, KeyID: req.KeyID, WrongKey: req.WrongKey,
		Claims: req.Claims,
	})
	writeJSON(w, http.StatusOK, map[string]string{"access_token": token, "token_type": "Bearer"})
}

func (s *Server) controlFaults(w http.ResponseWriter, r *http.Request) {
	var req struct {
		Method     string     `json:"method"`
		Path       string     `json:"path"`
		Kind       flaky.Kind `json:"kind"`
		Skip       int        `json:"skip"`
		Times      int        `json:"times"`
		Delay      span       `json:"delay"`
		WorkFirst  bool       `json:"work_first"`
		Status     int        `json:"status"`
		RetryAfter span       `json:"retry_after"`
	}
	if !readControl(w, r, &req) {
		return
	}
	if !slices.Contains(flaky.Kinds(), req.Kind) {
		controlError(w, http.StatusBadRequest, fmt.Errorf("kind must be one of %v", flaky.Kinds()))
		return
	}
	if req.Status != 0 && (req.Status < 200 || req.Status > 599) {
		controlError(w, http.StatusBadRequest, fmt.Errorf("status %d is not a final HTTP status", req.Status))
		return
	}
	s.Inject(flaky.Fault{
		Method: req.Method, Path: req.Path, Kind: req.Kind, Skip: req.Skip, Times: req.Times,
		Delay: time.Duration(req.Delay), WorkFirst: req.WorkFirst, Status: req.Status,
		RetryAfter: time.Duration(req.RetryAfter),
	})
	w.WriteHeader(http.StatusNoContent)
}

// readControl decodes strictly: a misspelt member would silently inject another fault than the intended one.
func readControl(w http.ResponseWriter, r *http.Request, into any) bool {
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		controlError(w, http.StatusBadRequest, fmt.Errorf("read the request: %w", err))
		return false
	}
	return true
}

func controlError(w http.ResponseWriter, status int, err error) {
	writeJSON(w, status, map[string]string{"error": err.Error()})
}

var pageTemplate = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Auth0 simulator</title>
<style>body{font:16px/1.5 system-ui;max-width:46rem;margin:3rem auto;padding:0 1rem}pre{background:#f4f4f4;padding:1rem;overflow:auto}</style>
<h1>Auth0 simulator</h1>
<p>This is not Auth0. It is a tenant in memory for development and tests: it keeps {{.Users}} users, and has answered {{.Calls}} calls.
Anybody who reaches this address can make any token, so keep it on your own machine.</p>
<p>Issuer <code>{{.URL}}/</code> · client <code>{{.Client}}</code> · audience <code>{{.Audience}}</code></p>
<h2>A token for an operator</h2>
<pre>curl -s {{.URL}}/_sim/tokens -d '{"permissions":["read:tenants"]}'</pre>
<h2>Let the next answer get lost, after the user was stored</h2>
<pre>curl -s {{.URL}}/_sim/faults -d '{"method":"POST","path":"/api/v2/users","kind":"lost_answer"}'</pre>
<p>Kinds: {{range .Kinds}}<code>{{.}}</code> {{end}}. <code>curl -X DELETE {{.URL}}/_sim/faults</code> removes all.</p>
<h2>Look</h2>
<p><a href="/_sim/users">users</a> · <a href="/_sim/organizations">organizations</a> · <a href="/_sim/mails">mails</a> · <a href="/_sim/calls">calls</a> ·
<a href="/.well-known/jwks.json">keys</a> · <a href="/.well-known/openid-configuration">discovery</a></p>
</html>
`))

func (s *Server) getPage(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = pageTemplate.Execute(w, map[string]any{ // the caller may have disconnected
		"URL": s.URL(), "Client": s.cfg.ClientID, "Audience": s.cfg.Audience, "Kinds": flaky.Kinds(),
		"Users": len(s.Users()), "Calls": len(s.Calls()),
	})
}
