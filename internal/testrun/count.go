package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// counted is the number of packages and tests of a run.
type counted struct{ packages, tests int }

// packagesOf are the arguments of go test that name packages: those after the last flag. make test writes each flag with its
// value as one word, or a flag whose value is not a path.
func packagesOf(args []string) []string {
	return slices.DeleteFunc(slices.Clone(args), func(arg string) bool { return !strings.HasPrefix(arg, ".") && !strings.HasPrefix(arg, "homeroom/") })
}

// runPattern is the pattern of -run; empty if all tests run.
func runPattern(args []string) string {
	for i, arg := range args {
		if value, ok := strings.CutPrefix(arg, "-run="); ok {
			return value
		}
		if arg == "-run" && i+1 < len(args) {
			return args[i+1]
		}
	}
	return ""
}

// countTests counts the test functions in the files of the packages.
func countTests(args []string) (counted, error) {
	list := exec.Command("go", append([]string{"list", "-json=Dir,TestGoFiles,XTestGoFiles"}, packagesOf(args)...)...) //nolint:gosec,noctx // as above
	list.Stderr = os.Stderr
	out, err := list.Output()
	if err != nil {
		return counted{}, fmt.Errorf("list the packages: %w", err)
	}
	top, _, _ := strings.Cut(runPattern(args), "/")
	wanted, err := regexp.Compile(top)
	if err != nil {
		return counted{}, fmt.Errorf("read -run: %w", err)
	}
	var count counted
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			Dir                       string
			TestGoFiles, XTestGoFiles []string
		}
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return count, nil
		} else if err != nil {
			return count, fmt.Errorf("read the list of packages: %w", err)
		}
		count.packages++
		for _, file := range append(p.TestGoFiles, p.XTestGoFiles...) {
			text, err := os.ReadFile(filepath.Join(p.Dir, file))
			if err != nil {
				return count, err
			}
			count.tests += testsIn(string(text), wanted)
		}
	}
}

var declaration = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Example)\w*)\(`)

func testsIn(text string, wanted *regexp.Regexp) (n int) {
	for _, match := range declaration.FindAllStringSubmatch(text, -1) {
		if match[1] != "TestMain" && wanted.MatchString(match[1]) {
			n++
		}
	}
	return n
}
