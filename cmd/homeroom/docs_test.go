package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
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
	link := regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)
	for _, file := range documents(t) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range link.FindAllStringSubmatch(string(text), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(file), match[1])); err != nil {
				t.Errorf("%s links to %s: %v", file, match[1], err)
			}
		}
	}
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
			old := oldNames[variable] != "" && filepath.Base(file) == "CHANGELOG.md" // it describes earlier versions
			if !known(variable) && !others[variable] && !old {
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
