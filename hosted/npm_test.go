package hosted_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// installs tells the folders of several installations by one process apart.
var installs atomic.Int64

// npm is the folder in which a package is installed, once for all tests of this user. Those that install at the same time do
// so in folders of their own, and the first to be done gives its folder the name.
func npm(t *testing.T, name, version string) string {
	t.Helper()
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("%s is needed for this test: apt-get install nodejs npm, or brew install node", program)
		}
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	plain := strings.NewReplacer("@", "", "/", "-").Replace(name)
	folder := filepath.Join(cache, "homeroom-test", plain+"-"+version)
	if _, err := os.Stat(folder); err == nil {
		return folder
	}
	mine := folder + "-" + strconv.Itoa(os.Getpid()) + "-" + strconv.FormatInt(installs.Add(1), 10)
	if err := os.MkdirAll(mine, 0o755); err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(mine)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, "npm", "install", "--no-save", "--no-audit", "--no-fund", "--prefix", mine,
		name+"@"+version).CombinedOutput()
	if err != nil {
		t.Fatalf("npm cannot install %s, which this test needs; is its registry reachable? %v\n%s", name, err, out)
	}
	if err := os.Rename(mine, folder); err != nil {
		if _, there := os.Stat(folder); there != nil {
			t.Fatal(err)
		}
	}
	return folder
}

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
