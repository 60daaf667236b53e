package hosted_test

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// node runs a script until the test ends, and returns the first line that it prints: its address.
func node(t *testing.T, env []string, args ...string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), "node", args...)
	command.Env = append(os.Environ(), env...)
	var complaints strings.Builder
	command.Stderr = &complaints
	stdin, err := command.StdinPipe() // it ends with this, should this process be killed
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = command.Wait()
	})
	lines := bufio.NewReader(stdout)
	address, err := lines.ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) || address == "" {
		_ = stdin.Close()
		_ = command.Wait()
		t.Fatalf("%s did not start: %v\n%s", args[0], err, complaints.String())
	}
	go func() { _, _ = io.Copy(io.Discard, lines) }() // a pipe that is full would stop it
	return strings.TrimSpace(address)
}
