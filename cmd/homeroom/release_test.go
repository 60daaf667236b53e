package main

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// releaseTags returns the build tags of the Makefile, and so of the Dockerfile, for the production binary.
func releaseTags(t *testing.T) string {
	t.Helper()
	makes := exec.CommandContext(t.Context(), "make", "-n", "release")
	makes.Dir = root
	out, err := makes.CombinedOutput()
	tags := regexp.MustCompile(`go build .*-tags (\S+) .*\./cmd/homeroom`).FindSubmatch(out)
	if err != nil || tags == nil {
		t.Fatalf("make release builds with no tags (%v):\n%s", err, out)
	}
	return string(tags[1])
}

// packagesOf returns the packages of the program when it is built with tags.
func packagesOf(t *testing.T, tags string) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-buildvcs=false", "-deps", "-tags="+tags, ".").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	return strings.Fields(string(out))
}

// The production binary must not be able to issue tokens, start a Postgres, or receive mails.
func TestReleasesContainNothingForDevelopment(t *testing.T) {
	t.Parallel()
	unused := []string{"testing", "github.com/ugorji/go/codec"}
	development := []string{"homeroom/auth0/auth0test", "homeroom/internal/devpg", "homeroom/mail/mailtest", "github.com/emersion/go-smtp"}
	for _, tags := range []string{releaseTags(t), ""} { // the second is a plain go build
		packages := packagesOf(t, tags)
		for _, name := range append(development, unused[0]) {
			if slices.Contains(packages, name) {
				t.Errorf("with the tags %q the program holds %s", tags, name)
			}
		}
	}
	packages := packagesOf(t, "dev,"+releaseTags(t))
	for _, name := range development {
		if !slices.Contains(packages, name) {
			t.Errorf("the program for development lacks %s", name)
		}
	}
	for _, name := range unused {
		if slices.Contains(packages, name) {
			t.Errorf("the program for development holds %s", name)
		}
	}
}

func TestReleasesSayWhereTheCommandsForDevelopmentAre(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "homeroom")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-tags", releaseTags(t), "-o", path, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	for _, args := range [][]string{
		{"dev"}, {"auth0sim", "--addr", "127.0.0.1:0"}, {"auth0sim"}, {"token", "--permissions", "read:tenants"}, {"help", "dev"},
	} {
		run := exec.CommandContext(t.Context(), path, args...)
		out, err := run.CombinedOutput()
		if run.ProcessState.ExitCode() != exitCannot || !strings.Contains(string(out), "it is for development; build with -tags dev") {
			t.Errorf("homeroom %s ends with %v: %s", strings.Join(args, " "), err, out)
		}
	}
	out, err := exec.CommandContext(t.Context(), path, "help").CombinedOutput()
	if err != nil || strings.Contains(string(out), "imulator") || !strings.Contains(string(out), "serve") {
		t.Errorf("help (%v) shows\n%s", err, out)
	}
}
