package httpapi_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

// check ends the test on an error.
func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// equal compares; about says more, as for fmt.Sprint.
func equal(t testing.TB, want, got any, about ...any) {
	t.Helper()
	if !reflect.DeepEqual(want, got) {
		t.Fatalf("got  %v\nwant %v\n%s", got, want, fmt.Sprint(about...))
	}
}

func holds(t testing.TB, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Fatalf("%q is not in\n%s", part, text)
		}
	}
}

func lacks(t testing.TB, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if strings.Contains(text, part) {
			t.Fatalf("%q is in\n%s", part, text)
		}
	}
}

func truth(t testing.TB, ok bool, about ...any) {
	t.Helper()
	if !ok {
		t.Fatal(about...)
	}
}

// eventually asks until it is so.
func eventually(t testing.TB, so func() bool, about ...any) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for tick := time.NewTicker(20 * time.Millisecond); !so(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatal(about...)
		}
	}
}
