package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestDocumentsNameTestsThatExist checks that the tests exist that documents with a table of tests name, and that
// each of these documents names many.
func TestDocumentsNameTestsThatExist(t *testing.T) {
	t.Parallel()
	there := map[string]bool{}
	declaration := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	err := filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, found := range declaration.FindAllSubmatch(text, -1) {
			there[string(found[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for document, least := range map[string]int{"sources.md": 100, "tenant-isolation.md": 20, "decisions/trials.md": 100} {
		text, err := os.ReadFile(filepath.Join("../../docs", document))
		if err != nil {
			t.Fatal(err)
		}
		named := regexp.MustCompile("`(Test\\w+)`").FindAllStringSubmatch(string(text), -1)
		if len(named) < least {
			t.Errorf("%s names %d tests, which is too few", document, len(named))
		}
		for _, name := range named {
			if !there[name[1]] {
				t.Errorf("%s: there is no test %s", document, name[1])
			}
		}
	}
}

// TestEveryResourceOfTheIsolationTableHasATest, unless the table says that it is open.
func TestEveryResourceOfTheIsolationTableHasATest(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/tenant-isolation.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, "|")
		if len(cells) != 7 || strings.HasPrefix(cells[1], "---") || strings.TrimSpace(cells[1]) == "resource" {
			continue
		}
		rows++
		state, tests := strings.TrimSpace(cells[3]), cells[5]
		if open := state == "open"; open == strings.Contains(tests, "`Test") {
			t.Errorf("%s is %s, and its tests are %q", cells[1], state, tests)
		}
		for word := range strings.SplitSeq(state, ", ") {
			if word != "closed" && word != "bounded" && word != "watched" && word != "open" {
				t.Errorf("%s is %q", cells[1], word)
			}
		}
	}
	if rows < 20 {
		t.Errorf("the table has %d rows", rows)
	}
}
