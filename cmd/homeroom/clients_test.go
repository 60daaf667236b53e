package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
)

// school is a sign-up that a client wants.
type school struct{ Email, Key, Body string }

func newSchool(n int) school {
	email := fmt.Sprintf("ada%d-%s@lincoln.example", n, uuid.NewString()[:8])
	return school{
		Email: email, Key: uuid.NewString(),
		Body: fmt.Sprintf(`{"email":%q,"password":"Correct-Horse-9","schoolName":"Lincoln High"}`, email),
	}
}

// post sends the sign-up once. A dead connection is an error, as for a browser.
func (s school) post(ctx context.Context, base string) (status int, body string, err error) {
	return request(ctx, base, http.MethodPost, "/users", s.Body, "Idempotency-Key", s.Key)
}

// request sends one request of any kind, with one header.
func request(ctx context.Context, base, method, path, body, header, value string) (status int, text string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, base+path, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(header, value)
	req.GetBody = nil // the HTTP client does not repeat it by itself
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	return resp.StatusCode, strings.TrimSpace(string(raw)), err
}

// mustSucceed repeats the sign-up as a client does, until it has its school.
func (s school) mustSucceed(t *testing.T, base string) string {
	t.Helper()
	return newClientPool(func() string { return base }).signUp(t, s)
}

// clientPool is a number of clients that sign schools up and store the answers.
type clientPool struct {
	url func() string

	mu sync.Mutex
	// promised are the ids of the sign-ups that were acknowledged, by 201 or 202, by the school's e-mail.
	promised map[string]string
	// answers counts the answers; "cut" stands for no answer.
	answers map[string]int
}

func newClientPool(url func() string) *clientPool {
	return &clientPool{url: url, promised: map[string]string{}, answers: map[string]int{}}
}

// signUp repeats a sign-up with its key until the school is ready, and returns the answer. An answer that the
// contract does not allow is an error, and so is another id for the same sign-up.
func (c *clientPool) signUp(t *testing.T, s school) (body string) {
	t.Helper()
	eventually(t, "sign-up of "+s.Email, func() (bool, error) {
		var status int
		var err error
		status, body, err = s.post(t.Context(), c.url())
		if wrong := c.note(s, status, body, err); wrong != nil {
			t.Fatal(wrong)
		}
		return status == http.StatusCreated && err == nil, fmt.Errorf("%d %s %w", status, body, err)
	})
	return body
}

// note stores an answer, and returns an error if it is wrong.
func (c *clientPool) note(s school, status int, body string, err error) error {
	var answer struct{ SignupID, Code string }
	if err == nil {
		if wrong := json.Unmarshal([]byte(body), &answer); wrong != nil {
			return fmt.Errorf("sign-up of %s: %d %q: %w", s.Email, status, body, wrong)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err != nil:
		c.answers["cut"]++
		return nil
	case status == http.StatusCreated || status == http.StatusAccepted:
		c.answers[fmt.Sprint(status)]++
		if former := c.promised[s.Email]; former != "" && former != answer.SignupID {
			return fmt.Errorf("sign-up of %s was %s, and is %s now", s.Email, former, answer.SignupID)
		}
		c.promised[s.Email] = answer.SignupID
		return nil
	case status == http.StatusServiceUnavailable, status == http.StatusConflict && answer.Code == "IN_PROGRESS":
		c.answers[fmt.Sprint(status, " ", answer.Code)]++
		return nil
	}
	return fmt.Errorf("sign-up of %s: %d %s", s.Email, status, body)
}

// checkRestored checks that every acknowledged sign-up exists, is ready, and has the right owner.
func (c *clientPool) checkRestored(t *testing.T, w *world) {
	t.Helper()
	for email, id := range c.promised {
		var status, owner string
		err := w.pool.QueryRow(t.Context(), `
			select status, users.email
			from signups
			join users on users.id = user_id
			where signups.id = $1 and users.state = 'active'`, id).Scan(&status, &owner)
		if err != nil || status != "ready" || owner != email {
			t.Errorf("acknowledged sign-up %s of %s: %s of %s, %v", id, email, status, owner, err)
		}
	}
}
