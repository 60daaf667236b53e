package main

import (
	"context"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// documents returns the Markdown files of the repository.
func documents(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(filepath.Join(root, "docs"), func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".md") {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestLinksInDocumentsExist(t *testing.T) {
	t.Parallel()
	link := regexp.MustCompile(`\]\(([^)#:]*)(#[^)]*)?\)`)
	for _, file := range documents(t) {
		for _, match := range link.FindAllStringSubmatch(read(t, file), -1) {
			target := file
			if match[1] != "" {
				target = filepath.Join(filepath.Dir(file), match[1])
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links to %s: %v", file, match[1], err)
			} else if match[2] != "" && !slices.Contains(anchors(read(t, target)), match[2]) {
				t.Errorf("%s links to %s, which has no heading %s", file, target, match[2])
			}
		}
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// anchors are the fragments with which one can link to the headings of a document.
func anchors(document string) (found []string) {
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(document, -1) {
		letters := regexp.MustCompile("[^a-z0-9 _-]").ReplaceAllString(strings.ToLower(heading[1]), "")
		found = append(found, "#"+strings.ReplaceAll(letters, " ", "-"))
	}
	return found
}

// TestDocumentsShowCommandsThatExist parses the command lines of homeroom, and looks up the targets of make.
func TestDocumentsShowCommandsThatExist(t *testing.T) {
	t.Parallel()
	makefile := read(t, filepath.Join(root, "Makefile"))
	command := regexp.MustCompile("(?m)(`|^(?:    )?)(?:bin/)?(homeroom|make) ([a-z][^`\n|]*)")
	count := 0
	for _, file := range documents(t) {
		for _, match := range command.FindAllStringSubmatch(read(t, file), -1) {
			line, _, _ := strings.Cut(match[3], " #")
			args := strings.Fields(placeholders.Replace(line))
			count++
			switch {
			case match[2] == "homeroom":
				if err := parse(t, args); err != nil && (match[1] != "`" || !incomplete.MatchString(err.Error())) {
					t.Errorf("%s: homeroom %s: %v", file, line, err)
				}
			case !strings.Contains(makefile, "\n"+args[0]+":"):
				t.Errorf("%s: the Makefile has no target %s", file, args[0])
			}
		}
	}
	if count < 100 {
		t.Errorf("found %d commands in the documents, want more than 100", count)
	}
}

const someID = "8c1f5a0e-3b0d-4c1e-9d2a-6f0b7c8d9e10"

var (
	placeholders = strings.NewReplacer(
		"<version>", "3", "<id>", someID, "<tenant>", someID, "<slug>", someID, "<webhook>", someID, "<delivery>", someID, "…", "3", "[", "", "]", "",
	)
	// incomplete matches the errors for a command without its arguments, as a sentence names it.
	incomplete = regexp.MustCompile(`^expected |^missing |missing value`)
)

func parse(t *testing.T, args []string) error {
	t.Helper()
	parser := newParser(program{stdout: io.Discard, stderr: io.Discard}, func(int) {}, kong.BindTo(t.Context(), (*context.Context)(nil)))
	_, err := parser.Parse(withoutReading(args))
	return err
}

// TestDocumentedLogMessagesExist compares the table of log messages in install.md with the code that logs them.
func TestDocumentedLogMessagesExist(t *testing.T) {
	t.Parallel()
	_, section, _ := strings.Cut(read(t, filepath.Join(root, "docs/install.md")), "## What the log says")
	rows := regexp.MustCompile("(?m)^\\| (`[^|]*`) \\|").FindAllStringSubmatch(section, -1)
	if len(rows) < 20 {
		t.Fatalf("install.md has %d rows of log messages, want 20 or more", len(rows))
	}
	var code strings.Builder
	for _, source := range sources(t) {
		code.WriteString(read(t, source))
	}
	for _, row := range rows {
		for message := range strings.SplitSeq(strings.Trim(row[1], "`"), "`, `") {
			if !strings.Contains(code.String(), message) {
				t.Errorf("install.md explains the log message %q, which no code writes", message)
			}
		}
	}
}

// sources are the Go files that are no tests.
func sources(t *testing.T) (files []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// Operators look variables up in the documents: one that the program does not read would have no effect, without a
// warning.
func TestDocumentsNameVariablesThatExist(t *testing.T) {
	t.Parallel()
	others := map[string]bool{ // read before there is a configuration, by tests, or to be filled in by the reader
		"HOMEROOM_PG_BIN": true, "HOMEROOM_TEST_POSTGRES_URL": true, "HOMEROOM_TEST_TENANTS": true,
		"HOMEROOM_STATE_DIR": true, "HOMEROOM_KILL_AT": true,
		"HOMEROOM_SERVER_": true, "AUTH0_": true, "HOMEROOM_": true, "SCIM_": true, "BEYOND_IDENTITY_": true,
		// codes of errors
		"IDENTITY_UNAVAILABLE": true, "SIGNUP_CLOSED": true, "SIGNUP_BUDGET": true,
	}
	name := regexp.MustCompile(`\b(HOMEROOM|AUTH0|SCIM|BEYOND_IDENTITY|SIGNUP|HOSTED|CAPTCHA|PROVISION|IDENTITY)_[A-Z0-9_]*`)
	for _, file := range documents(t) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, variable := range name.FindAllString(string(text), -1) {
			old := oldNames[variable] != "" || slices.Contains(removedNames, variable)
			earlier := old && filepath.Base(file) == "CHANGELOG.md" // it describes earlier versions
			if !known(variable) && !others[variable] && !earlier {
				t.Errorf("%s speaks of %s, which Homeroom does not read", file, variable)
			}
		}
	}
}

func TestEveryDependencyIsExplained(t *testing.T) {
	t.Parallel()
	module, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "docs/decisions/dependencies.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, match := range regexp.MustCompile(`(?m)^\t(\S+) v\S+$`).FindAllStringSubmatch(string(module), -1) {
		name := regexp.MustCompile(`/v\d+$`).ReplaceAllString(strings.TrimPrefix(match[1], "github.com/"), "")
		if !strings.Contains(string(text), "`"+name+"`") {
			t.Errorf("dependencies.md has no line for %s", name)
		}
	}
}
