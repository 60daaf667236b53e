package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

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

func TestDevReportsConflictsBeforeItCreatesPostgres(t *testing.T) {
	t.Parallel()
	dir := stateFolder(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	address := listener.Addr().String()
	if out := devOutcome(t, dir, "HOMEROOM_ADDR="+address); !strings.Contains(out, "another program is listening at "+address) {
		t.Errorf("it says %s", out)
	}
	if out := devOutcome(t, dir, "HOMEROOM_SPARES=many"); !strings.Contains(out, "HOMEROOM_SPARES is") {
		t.Errorf("it says %s", out)
	}
	state := filepath.Join(dir, "state")
	if _, err := os.Stat(filepath.Join(state, "postgres")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Postgres was begun: %v", err)
	}
	// This simulates another homeroom dev that uses the folder.
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
	if err := os.WriteFile(filepath.Join(state, "address"), []byte("127.0.0.1:8080"), 0o600); err != nil {
		t.Fatal(err)
	}
	out := devOutcome(t, dir)
	for _, part := range []string{"Homeroom is already running at http://127.0.0.1:8080", "process 4711", "HOMEROOM_STATE_DIR=" + state + "-2"} {
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
