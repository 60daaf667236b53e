//go:build dev

package main

import (
	"bytes"
	"errors"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rivo/uniseg"

	"homeroom/internal/devpg"
)

func TestTheWelcomeFitsOnATerminal(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	welcome(&out, "127.0.0.1:8080", config{Auth0BaseURL: "http://127.0.0.1:8090"}, &devpg.Server{}, "/var/lib/homeroom/homeroom.log", "bin/homeroom")
	if lines := strings.Count(out.String(), "\n"); lines > 22 { // this leaves two lines for requests, and one for a command
		t.Errorf("it has %d lines", lines)
	}
	for line := range strings.Lines(out.String()) {
		if uniseg.StringWidth(strings.TrimRight(line, "\n")) > 80 {
			t.Errorf("a line is too wide: %s", line)
		}
	}
}

func TestTheDevelopmentLogIsShortOnTheTerminal(t *testing.T) {
	t.Parallel()
	var file, terminal bytes.Buffer
	logger := slog.New(newDevLog(&file, &terminal))
	logger.Info("request", "method", "POST", "route", "/users", "status", 201, "took", 71123456*time.Nanosecond, "request", "r1", "client", "127.0.0.1")
	logger.Error("request", "method", "GET", "route", "/me", "status", 500, "took", 42*time.Microsecond, "code", "INTERNAL", "error", errors.New("x\x1b[2J"))
	logger.Info("mail sent", "mail", 7)
	logger.With("server", "main").Warn("no room", "free", 3)
	want := []string{"  201  POST /users  71ms", `  500  GET /me  42µs  INTERNAL  x\u001b[2J`, "  WARN  no room  free=3"}
	lines := strings.Split(strings.TrimSpace(terminal.String()), "\n")
	for i := range lines {
		lines[i] = strings.TrimLeft(lines[i], "0123456789:")
	}
	if !slices.Equal(lines, want) {
		t.Errorf("the terminal shows\n%q\nwant\n%q", lines, want)
	}
	for _, part := range []string{"request=r1", "mail sent", "server=main", "free=3"} {
		if !strings.Contains(file.String(), part) {
			t.Errorf("the file lacks %q:\n%s", part, file.String())
		}
	}
}

func TestTheEnvironmentOverridesTheSettingsOfDev(t *testing.T) {
	t.Parallel()
	under := settings{"HOMEROOM_SIGNUP_OAUTH_RATE": "off", "HOMEROOM_TENANT_KEY": "k", "HOMEROOM_SPARES": "3"}.under(
		[]string{"SIGNUP_OAUTH_RATE=5/1h", "HOMEROOM_TENANT_KEY_FILE=/x", "HOMEROOM_SPARES="})
	slices.Sort(under)
	want := []string{"HOMEROOM_SPARES=", "HOMEROOM_SPARES=3", "HOMEROOM_TENANT_KEY_FILE=/x", "SIGNUP_OAUTH_RATE=5/1h"}
	if !slices.Equal(under, want) {
		t.Errorf("it is %q", under)
	}
}

func TestTheDevelopmentServersApplication(t *testing.T) {
	t.Parallel()
	for environ, callback := range map[string]string{
		"": "http://127.0.0.1:8080/callback", "HOMEROOM_ADDR=127.0.0.1:8081": "http://127.0.0.1:8081/callback",
		"HOMEROOM_ADDR=:8081": "http://127.0.0.1:8081/callback", "HOMEROOM_ADDR=[::1]:8081": "http://[::1]:8081/callback",
		"HOMEROOM_ADDR=127.0.0.1:0": "", "HOMEROOM_IDENTITY_PROVIDER=scim": "", "AUTH0_DOMAIN=lincoln.eu.auth0.com": "",
	} {
		s := settings{"HOMEROOM_HOSTED_CLIENT_SECRET": "kept"}
		apps := s.application([]string{environ})
		if callback == "" {
			if len(apps) != 0 || len(s) != 0 {
				t.Errorf("%s: %v, %v", environ, apps, s)
			}
			continue
		}
		if len(apps) != 1 || apps[0].Callbacks[0] != callback || s["HOMEROOM_HOSTED_REDIRECT_URL"] != callback || apps[0].Secret != "kept" {
			t.Errorf("%s: %+v, %v", environ, apps, s)
		}
	}
}

func TestSettingsOfDevAreReadAsTheyWereWritten(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), settingsFile)
	want := settings{"HOMEROOM_TENANT_KEY": "a+b/c==", "AUTH0_CLIENT_SECRET": `say "no" to $HOME, \n # and ! 'x' `, "HOMEROOM_SPARES": "3", "AUTH0_AUDIENCE": ""}
	if err := want.save(path); err != nil {
		t.Fatal(err)
	}
	got, err := readSettings(path)
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("%v: they are %q, want %q", err, got, want)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v: others may read them: %v", err, info.Mode())
	}
	// Earlier versions wrote the values without quotes.
	if err := os.WriteFile(path, []byte("HOMEROOM_TENANT_KEY=a+b/c==\nSIGNUP_MODE=open\nAUTH0_AUDIENCE=https://api.homeroom.test\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	want = settings{"HOMEROOM_TENANT_KEY": "a+b/c==", "HOMEROOM_SIGNUP_MODE": "open", "AUTH0_AUDIENCE": "https://api.homeroom.test"}
	if got, err = readSettings(path); err != nil || !maps.Equal(got, want) {
		t.Errorf("%v: they are %q, want %q", err, got, want)
	}
}
