package main

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rivo/uniseg"

	"homeroom/internal/devpg"
)

func TestTheWelcomeFitsOnATerminal(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	welcome(&out, "127.0.0.1:8080", config{Auth0BaseURL: "http://127.0.0.1:8090"}, &devpg.Server{}, "/var/lib/homeroom/homeroom.log", "bin/homeroom")
	if lines := strings.Count(out.String(), "\n"); lines > 22 { // a line for a request or two, and one for what is typed
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
	logger.Error("request", "method", "GET", "route", "/me", "status", 500, "took", 42*time.Microsecond, "code", "INTERNAL", "cause", errors.New("x\x1b[2J"))
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

// devOutcome runs homeroom dev in a state folder until it ends by itself.
func devOutcome(t *testing.T, dir string, environ ...string) string {
	t.Helper()
	dev := exec.CommandContext(t.Context(), filepath.Join(dir, "bin/homeroom"), "dev")
	dev.Env = append(stateEnv(dir), environ...)
	out, err := dev.CombinedOutput()
	if dev.ProcessState.ExitCode() != exitCannot {
		t.Errorf("it ends with %v\n%s", err, out)
	}
	return string(out)
}

func TestDevTellsWhatIsInItsWayBeforeItMakesPostgres(t *testing.T) {
	t.Parallel()
	dir := stateFolder(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	address := listener.Addr().String()
	if out := devOutcome(t, dir, "HOMEROOM_ADDR="+address); !strings.Contains(out, "another program listens at "+address) {
		t.Errorf("it says %s", out)
	}
	if out := devOutcome(t, dir, "HOMEROOM_SPARES=many"); !strings.Contains(out, "HOMEROOM_SPARES is") {
		t.Errorf("it says %s", out)
	}
	state := filepath.Join(dir, "state")
	if _, err := os.Stat(filepath.Join(state, "postgres")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Postgres was begun: %v", err)
	}
	// As another homeroom dev holds the folder.
	if err := os.MkdirAll(filepath.Join(state, "postgres"), 0o755); err != nil {
		t.Fatal(err)
	}
	lock, err := os.Create(filepath.Join(state, "postgres", "lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(lock, "4711")
	if err := os.WriteFile(filepath.Join(state, addressFile), []byte("127.0.0.1:8080"), 0o600); err != nil {
		t.Fatal(err)
	}
	out := devOutcome(t, dir)
	for _, part := range []string{"Homeroom runs already at http://127.0.0.1:8080", "process 4711", "HOMEROOM_STATE_DIR=" + state + "-2"} {
		if !strings.Contains(out, part) {
			t.Errorf("it does not say %q: %s", part, out)
		}
	}
}

func TestDevEndsInOrderWhileItStarts(t *testing.T) {
	t.Parallel()
	dir := stateFolder(t)
	dev := exec.Command(filepath.Join(dir, "bin/homeroom"), "dev")
	dev.Env = stateEnv(dir)
	var errs bytes.Buffer
	dev.Stderr = &errs
	out, err := dev.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := dev.Start(); err != nil {
		t.Fatal(err)
	}
	var said []byte
	for !bytes.Contains(said, []byte("Starting")) {
		part := make([]byte, 256)
		n, err := out.Read(part)
		if err != nil {
			t.Fatalf("it ends: %v\n%s", err, &errs)
		}
		said = append(said, part[:n]...)
	}
	if err := dev.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	rest := new(bytes.Buffer)
	if _, err := rest.ReadFrom(out); err != nil {
		t.Fatal(err)
	}
	if err := dev.Wait(); err != nil || errs.Len() > 0 || !strings.Contains(rest.String(), "Stopped before it was ready.") {
		t.Errorf("it ends with %v\n%s%s", err, rest, &errs)
	}
}
