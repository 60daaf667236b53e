package secret_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"homeroom/internal/secret"
)

const value = "hunter2"

func TestRevealReturnsTheValue(t *testing.T) {
	t.Parallel()
	if got := secret.String(value).Reveal(); got != value {
		t.Errorf("got %q", got)
	}
}

func TestNoVerbPrintsTheValue(t *testing.T) {
	t.Parallel()
	type config struct{ Password secret.String }
	s := secret.String(value)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%10.3s", "% x"} {
		for _, arg := range []any{s, &s, config{s}, []secret.String{s}, map[string]secret.String{"key": s}} {
			got := fmt.Sprintf(verb, arg)
			if strings.Contains(got, value) || strings.Contains(got, fmt.Sprintf("%x", value)) || strings.Contains(got, fmt.Sprintf("%X", value)) {
				t.Errorf("%s of %T is %s", verb, arg, got)
			}
		}
		if got := fmt.Sprintf(verb, s); got != secret.Redacted {
			t.Errorf("%s is %s", verb, got)
		}
	}
	if got := fmt.Errorf("connect with %s: %w", s, errors.New("refused")).Error(); got != "connect with [redacted]: refused" {
		t.Errorf("the error is %q", got)
	}
}

func TestJSONHasNoValue(t *testing.T) {
	t.Parallel()
	s := secret.String(value)
	got, err := json.Marshal(map[string]any{"value": s, "pointer": &s, "struct": struct{ Token secret.String }{s}, "list": []secret.String{s}})
	want := `{"list":["[redacted]"],"pointer":"[redacted]","struct":{"Token":"[redacted]"},"value":"[redacted]"}`
	if err != nil || string(got) != want {
		t.Errorf("got %s, %v", got, err)
	}
	if text, err := s.MarshalText(); err != nil || string(text) != secret.Redacted {
		t.Errorf("got %s, %v", text, err)
	}
}

func TestLogsHaveNoValue(t *testing.T) {
	t.Parallel()
	s := secret.String(value)
	var logs bytes.Buffer
	for _, handler := range []slog.Handler{slog.NewTextHandler(&logs, nil), slog.NewJSONHandler(&logs, nil)} {
		slog.New(handler).With("with", s).Info("message", "value", s, "pointer", &s, "struct", struct{ Token secret.String }{s}, "list", []secret.String{s})
	}
	if got := logs.String(); strings.Contains(got, value) || strings.Count(got, secret.Redacted) != 2*5 {
		t.Errorf("the logs are %s", got)
	}
}

func ExampleString() {
	password := secret.String("hunter2")
	fmt.Println("the password is", password)
	fmt.Println(len(password.Reveal()))
	// Output:
	// the password is [redacted]
	// 7
}
