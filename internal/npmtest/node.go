package npmtest

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Node runs a script until the test ends, and returns the first line that it prints, such as its address. env is added to
// this process's environment.
func Node(t testing.TB, env []string, args ...string) string {
	t.Helper()
	//nolint:gosec // the script is part of the tests
	command := exec.CommandContext(t.Context(), "node", args...)
	command.Env = append(os.Environ(), env...)
	var output strings.Builder
	command.Stderr = &output
	stdin, err := command.StdinPipe() // the script ends when its stdin is closed, also if this process is killed
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
	line, err := lines.ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) || line == "" {
		_ = stdin.Close()
		_ = command.Wait()
		t.Fatalf("%s did not start: %v\n%s", args[0], err, output.String())
	}
	go func() { _, _ = io.Copy(io.Discard, lines) }() // a full pipe would block it
	return strings.TrimSpace(line)
}
