package main

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// readmeBlocks returns the commands of the README, in order.
func readmeBlocks(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	var blocks []string
	for _, match := range regexp.MustCompile("(?ms)^```sh\n(.*?)^```$").FindAllSubmatch(text, -1) {
		blocks = append(blocks, string(match[1]))
	}
	return blocks
}

// expected is the expected output of a block, by a part of the block. Every block needs a line.
var expected = []struct {
	block string
	want  []string
}{
	{"/users", []string{"201 Created", "Location: /signups/", `"slug":"lincoln-high"`, `"status":"ready"`}},
	{"tenant psql", []string{"lunch_weeks", "schema_migrations"}},
	{"/me", []string{`"email":"ada@lincoln.example"`, `"slug":"lincoln-high"`}},
	{"--permissions", []string{`"name":"Lincoln High"`, `"steps":[`}},
	{"tenant list", []string{"SLUG", "lincoln-high", "database exists  true", "in order", "0 tenants to migrate", "All tenants are at version", "none differs", "Nothing is wrong."}},
	{"help config", []string{"HOMEROOM_CATALOG_URL", "AUTH0_AUDIENCE"}},
}

func TestReadmeCommands(t *testing.T) {
	t.Parallel()
	dir := stateFolder(t)
	addr := startDev(t, dir)
	for _, block := range readmeBlocks(t) {
		switch strings.TrimSpace(block) {
		case "make run", "make test":
			makes(t, strings.Fields(block)[1])
			continue
		}
		out := runBlock(t, dir, strings.ReplaceAll(block, "127.0.0.1:8080", addr))
		for _, want := range wanted(t, block) {
			if !strings.Contains(out, want) {
				t.Errorf("the output lacks %q of\n%s\n%s", want, block, out)
			}
		}
	}
}

// A new reader reads the README from its first line to its last, also in a terminal.
func TestTheReadmeIsShort(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	if words := len(strings.Fields(string(text))); words > 900 {
		t.Errorf("the README has %d words, want at most 900", words)
	}
	for i, line := range strings.Split(string(text), "\n") {
		if n := utf8.RuneCountInString(line); n > 120 {
			t.Errorf("line %d has %d columns, want at most 120", i+1, n)
		}
	}
}

// The map of the packages repeats their package comments.
func TestTheArchitectureMapsThePackages(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(root, "docs/architecture.md"))
	if err != nil {
		t.Fatal(err)
	}
	introduction := regexp.MustCompile(`^(Package|Command) \w+ (is )?`)
	for _, p := range listPackages(t) {
		name := strings.TrimPrefix(p.ImportPath, "homeroom/")
		if name == "bench" {
			continue // a program that measures is no part of the map
		}
		says := strings.TrimSuffix(introduction.ReplaceAllString(p.Doc, ""), ".")
		says = strings.NewReplacer("[", "", "]", "").Replace(says)
		if line := "| [`" + name + "`](../" + name + ") | " + says + " |"; !strings.Contains(string(text), line) {
			t.Errorf("docs/architecture.md lacks this line:\n%s", line)
		}
	}
}

func wanted(t *testing.T, block string) []string {
	t.Helper()
	for _, e := range expected {
		if !strings.Contains(block, e.block) {
			continue
		}
		// Binaries from npm come without psql: then the command must say how to get it.
		if _, err := exec.LookPath("psql"); err != nil && e.block == "tenant psql" {
			return []string{"psql is not installed"}
		}
		return e.want
	}
	t.Errorf("there is no expected output of\n%s", block)
	return nil
}

// makes checks that the Makefile has a target.
func makes(t *testing.T, target string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), "make", "-n", target)
	command.Dir = root
	if out, err := command.CombinedOutput(); err != nil {
		t.Errorf("make %s: %v\n%s", target, err, out)
	}
}

// stateFolder makes a folder with bin/homeroom to which the user that runs Postgres has access.
func stateFolder(t *testing.T) string {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "homeroom-readme-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(path, filepath.Join(dir, "bin/homeroom")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// stateEnv is the environment with which a command finds its state in dir, without the machine's own settings.
func stateEnv(dir string) []string {
	env := []string{"HOMEROOM_STATE_DIR=" + filepath.Join(dir, "state"), "HOMEROOM_ADDR=127.0.0.1:0"}
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "HOMEROOM_") && !strings.HasPrefix(variable, "AUTH0_") || strings.HasPrefix(variable, "HOMEROOM_PG_BIN=") {
			env = append(env, variable)
		}
	}
	return env
}

// startDev starts `homeroom dev`, waits until it is running, and stops it with the test. It returns its address.
func startDev(t *testing.T, dir string) string {
	t.Helper()
	dev := exec.Command(filepath.Join(dir, "bin/homeroom"), "dev") // it is interrupted below, as by a person
	dev.Dir, dev.Env = dir, stateEnv(dir)
	var log bytes.Buffer
	dev.Stderr = &log
	out, err := dev.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := dev.Start(); err != nil {
		t.Fatal(err)
	}
	address, ended := make(chan string, 1), make(chan error, 1)
	go func() {
		api := regexp.MustCompile(`API +http://(\S+)`)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if match := api.FindStringSubmatch(lines.Text()); match != nil {
				address <- match[1]
			}
		}
		_, _ = io.Copy(io.Discard, out)
		ended <- dev.Wait()
	}()
	t.Cleanup(func() {
		_ = dev.Process.Signal(os.Interrupt)
		if err := <-ended; err != nil {
			t.Errorf("homeroom dev ended with %v\n%s", err, &log)
		}
	})
	select {
	case addr := <-address:
		return addr
	case err := <-ended:
		ended <- err
		t.Fatalf("homeroom dev ended before it was ready: %v\n%s", err, &log)
	case <-time.After(5 * time.Minute): // a download of Postgres may take most of it
		t.Fatal("homeroom dev is not ready")
	}
	return ""
}

// runBlock runs commands as a reader would, in one shell.
func runBlock(t *testing.T, dir, block string) string {
	t.Helper()
	shell := exec.CommandContext(t.Context(), "sh", "-e")
	shell.Dir, shell.Env, shell.Stdin = dir, append(stateEnv(dir), "PAGER=cat"), strings.NewReader(block)
	out, err := shell.CombinedOutput()
	if err != nil && !strings.Contains(string(out), "psql is not installed") {
		t.Errorf("%v of\n%s\n%s", err, block, out)
	}
	return string(out)
}
