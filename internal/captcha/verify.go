package captcha

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/google/uuid"
)

var (
	// ErrInvalid says that a token is not one, or was made for another page.
	ErrInvalid = errors.New("the CAPTCHA's token is not good here")
	// ErrExpired says that a token is too old, or has been used before. Providers do not tell these two apart.
	ErrExpired = errors.New("the CAPTCHA's token is too old, or was used before")
	// ErrUnavailable says that the provider does not tell: it cannot be reached, or refuses us rather than the token.
	ErrUnavailable = errors.New("the CAPTCHA's provider does not tell")
)

// Request is what a provider is asked.
type Request struct {
	// Token is what the widget has made.
	Token string
	// RemoteIP is the address of the person; may be empty.
	RemoteIP string
	// Key names the request that the token came with; may be empty. A token is good once, but where the provider allows
	// it (Turnstile), a repetition of the same request may ask about the same token again.
	Key string
}

const (
	// longest is above what the providers make. Turnstile's tokens have 2048 characters at most.
	maxTokenLength = 8192
	// maxResponseBytes is far above what a provider says.
	maxResponseBytes = 64 << 10
)

// token is what tokens are made of: visible ASCII.
var token = regexp.MustCompile(`^[!-~]+$`)

// Verify returns nil when a person is behind a token. Its errors are [ErrInvalid], [ErrExpired] and [ErrUnavailable], with
// words of the provider's that are for the log.
func (v *Verifier) Verify(ctx context.Context, q Request) error {
	if len(q.Token) > maxTokenLength || !token.MatchString(q.Token) {
		return fmt.Errorf("%w: it does not look like one", ErrInvalid)
	}
	ctx, cancel := context.WithTimeout(ctx, v.cfg.Timeout)
	defer cancel()
	form := v.form(q)
	verdict, err := v.send(ctx, form)
	if err != nil && form.Has("idempotency_key") && ctx.Err() == nil {
		verdict, err = v.send(ctx, form) // whether the token is used up by now makes no difference
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return v.result(verdict)
}

// form is the question as the providers read it.
func (v *Verifier) form(q Request) url.Values {
	form := url.Values{"secret": {v.cfg.Secret.Reveal()}, "response": {q.Token}}
	if q.RemoteIP != "" {
		form.Set("remoteip", q.RemoteIP)
	}
	if v.cfg.Provider == Turnstile {
		key := uuid.New()
		if q.Key != "" {
			key = uuid.NewSHA1(uuid.NameSpaceOID, []byte(q.Key+" "+q.Token))
		}
		form.Set("idempotency_key", key.String())
	}
	return form
}

// response is a provider's response.
type response struct {
	Success  bool     `json:"success"`
	Hostname string   `json:"hostname"`
	Codes    []string `json:"error-codes"`
}

// send sends a request once. Its errors contain nothing of the form.
func (v *Verifier) send(ctx context.Context, form url.Values) (response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, v.cfg.VerifyURL, strings.NewReader(form.Encode()))
	if err != nil {
		return response{}, fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	res, err := v.client.Do(req)
	if err != nil {
		return response{}, fmt.Errorf("ask %s: %w", v.cfg.Provider, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxResponseBytes))
	if err != nil {
		return response{}, fmt.Errorf("read what %s says: %w", v.cfg.Provider, err)
	}
	var answer response
	// A refusal comes with 200, and with 400 where the secret or the token is missing; its words are in the body.
	if json.Unmarshal(text, &answer) != nil || res.StatusCode >= http.StatusInternalServerError || res.StatusCode/100 == 3 ||
		(!answer.Success && len(answer.Codes) == 0) || (answer.Success && res.StatusCode != http.StatusOK) {
		return response{}, fmt.Errorf("%s answers %d, and not what it should", v.cfg.Provider, res.StatusCode)
	}
	return answer, nil
}

// The words in which providers refuse. What is in neither list is about the token.
var (
	accountErrors = []string{
		"missing-input-secret", "invalid-input-secret", "sitekey-secret-mismatch", "not-using-dummy-passcode",
		"missing-remoteip", "invalid-remoteip", "internal-error",
	}
	expiredErrors = []string{"timeout-or-duplicate", "expired-input-response", "already-seen-response", "invalid-or-already-seen-response"}
)

func (v *Verifier) result(answer response) error {
	has := func(words []string) bool {
		return slices.ContainsFunc(answer.Codes, func(code string) bool { return slices.Contains(words, code) })
	}
	switch {
	case answer.Success && !v.allowedHost(answer.Hostname):
		return fmt.Errorf("%w: it was made for %.100q", ErrInvalid, answer.Hostname)
	case answer.Success:
		return nil
	case has(accountErrors):
		return fmt.Errorf("%w: %.200q", ErrUnavailable, answer.Codes)
	case has(expiredErrors):
		return fmt.Errorf("%w: %.200q", ErrExpired, answer.Codes)
	}
	return fmt.Errorf("%w: %.200q", ErrInvalid, answer.Codes)
}

// allowedHost reports whether a token was made on one of the configured hosts.
func (v *Verifier) allowedHost(hostname string) bool {
	return len(v.cfg.Hostnames) == 0 || slices.Contains(v.cfg.Hostnames, strings.ToLower(hostname))
}
