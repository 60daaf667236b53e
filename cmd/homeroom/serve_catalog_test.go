package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"homeroom/internal/pgtest"
)

// TestAReadOnlyCatalogIsUnavailable: a server that accepts no writes, after a failover or with a full disk, is a
// temporary failure.
func TestAReadOnlyCatalogIsUnavailable(t *testing.T) {
	t.Parallel()
	postgres := pgtest.Private(t, nil)
	w := newWorld(t, postgres.URL("catalog"), postgres.URL("postgres"), 0)
	p := w.start(t)
	if p.url == "" {
		t.Fatalf("it does not serve: %s", p.logs)
	}
	root := pgtest.Connect(t, postgres.URL("postgres"))
	for _, statement := range []string{"alter system set default_transaction_read_only = on", "select pg_reload_conf()"} {
		if _, err := root.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "readiness ends", func() (bool, error) {
		status, _, body := fetch(t, p.url+"/readyz")
		return status == http.StatusServiceUnavailable && strings.Contains(body, "CATALOG_UNAVAILABLE"), errors.New(body)
	})
	status, retryAfter, body := post(t, p.url+"/users", `{"email":"ada@lincoln.example","password":"Correct-Horse-9","schoolName":"Lincoln High"}`)
	if status != http.StatusServiceUnavailable || retryAfter == "" || !strings.Contains(body, "CATALOG_UNAVAILABLE") {
		t.Errorf("a sign-up is answered %d, Retry-After %q: %s", status, retryAfter, body)
	}
}

func fetch(t *testing.T, url string) (status int, retryAfter, body string) {
	t.Helper()
	return answer(t, http.MethodGet, url, "")
}

func post(t *testing.T, url, body string) (status int, retryAfter, answered string) {
	t.Helper()
	return answer(t, http.MethodPost, url, body)
}

func answer(t *testing.T, method, url, body string) (status int, retryAfter, answered string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(fmt.Errorf("read the answer: %w", err))
	}
	return response.StatusCode, response.Header.Get("Retry-After"), string(text)
}
