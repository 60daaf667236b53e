package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/rivo/uniseg"
)

func TestHelpFitsOnATerminal(t *testing.T) {
	t.Parallel()
	code, out, _ := command(t, nil, "help")
	if lines := strings.Count(out, "\n"); code != exitOK || lines > 24 {
		t.Errorf("exit code %d, %d lines:\n%s", code, lines, out)
	}
	if _, bare, _ := command(t, nil); bare != out {
		t.Errorf("homeroom alone prints\n%s", bare)
	}
	parser := newParser(program{}, func(int) {})
	for _, leaf := range parser.Model.Leaves(true) {
		path := strings.Fields(strings.TrimPrefix(leaf.FullPath(), "homeroom"))
		code, out, errs := command(t, nil, append([]string{"help"}, path...)...)
		_, same, _ := command(t, nil, append(path, "--help")...)
		if leaf.Name == "help" {
			continue // it explains the whole program
		}
		if code != exitOK || out != same {
			t.Errorf("help %s: exit code %d\n%s%s", path, code, out, errs)
		}
	}
	_, config, _ := command(t, nil, "help", "config")
	for line := range strings.Lines(out + config) {
		if uniseg.StringWidth(strings.TrimRight(line, "\n")) > 80 {
			t.Errorf("a line is wider than 80: %s", line)
		}
	}
}

func TestHelpKnowsEverySettingAndCommand(t *testing.T) {
	t.Parallel()
	_, out, _ := command(t, nil, "help", "config")
	for _, name := range []string{"HOMEROOM_STATE_DIR", "HOMEROOM_PG_BIN", "HOMEROOM_CATALOG_URL *", "HOMEROOM_SIGNUP_MODE"} {
		if !strings.Contains(out, "\n"+name) {
			t.Errorf("%s is not there", name)
		}
	}
	if code, _, errs := command(t, nil, "help", "fly"); code != exitUsage || !strings.Contains(errs, "fly") {
		t.Errorf("exit code %d: %s", code, errs)
	}
	if _, group, _ := command(t, nil, "help", "tenant"); !strings.Contains(group, "reprovision") {
		t.Errorf("it says %s", group)
	}
}

func TestVersionHasItsUsualFlags(t *testing.T) {
	t.Parallel()
	_, want, _ := command(t, nil, "version")
	for _, flag := range []string{"--version", "-v"} {
		if code, out, errs := command(t, nil, flag); code != exitOK || out != want {
			t.Errorf("%s: exit code %d: %s%s", flag, code, out, errs)
		}
	}
}

func TestShellsCompleteTheCommandLine(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"homeroom ten":                      "tenant",
		"homeroom tenant re":                "reprovision",
		"homeroom tenant list -o ":          "csv json table",
		"homeroom tenant list --output ta":  "table",
		"homeroom tenant list --se":         "--server",
		"homeroom completion ":              "bash fish zsh",
		"homeroom config show --sources --": "--help --output --sources",
		"homeroom nothing-known --q":        "",
	} {
		_, out, errs := command(t, []string{"COMP_LINE=" + line}, "__complete", "homeroom", "x", "y")
		if got := strings.Join(strings.Fields(out), " "); got != want {
			t.Errorf("%q is completed by %q, want %q %s", line, got, want, errs)
		}
	}
	if _, out, _ := command(t, nil, "help"); strings.Contains(out, "__complete") {
		t.Error("the help shows what is not for people")
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if _, out, _ := command(t, nil, "completion", shell); !strings.Contains(out, "homeroom __complete") {
			t.Errorf("%s: %s", shell, out)
		}
	}
}

func TestConfigCheck(t *testing.T) {
	t.Parallel()
	code, out, errs := command(t, complete("SIGNUP_PATIENCE=3h"), "config", "check")
	if code != exitOK || !strings.Contains(out, "SIGNUP_PATIENCE is called HOMEROOM_SIGNUP_PATIENCE now") {
		t.Errorf("exit code %d: %s%s", code, out, errs)
	}
	code, out, errs = command(t, complete("HOMEROOM_SPARE=3"), "config", "check")
	if code != exitOK || !strings.Contains(out, "Did you mean HOMEROOM_SPARES?") {
		t.Errorf("exit code %d: %s%s", code, out, errs)
	}
	code, _, errs = command(t, complete("HOMEROOM_SPARES=x"), "config", "check")
	if code != exitCannot || !strings.Contains(errs, "HOMEROOM_SPARES is") {
		t.Errorf("exit code %d: %s", code, errs)
	}
}

func TestConfigShow(t *testing.T) {
	t.Parallel()
	_, out, _ := command(t, complete("HOMEROOM_SPARES=5"), "config", "show", "--sources", "-o", "json")
	var all []shownSetting
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		t.Fatal(err)
	}
	for _, want := range []shownSetting{
		{"HOMEROOM_SPARES", "5", "environment"},
		{"HOMEROOM_ADDR", "127.0.0.1:8080", "default"},
		{"AUTH0_CLIENT_SECRET", "[redacted]", "environment"},
		{"HOMEROOM_CATALOG_URL", "[redacted]", "environment"},
		{"HOMEROOM_APP_URL", "", "not set"},
	} {
		if !slices.Contains(all, want) {
			t.Errorf("%+v is not there: %s", want, out)
		}
	}
	_, out, _ = command(t, complete("HOMEROOM_SPARES=x"), "config", "show", "--sources", "-o", "csv")
	if !strings.Contains(out, "HOMEROOM_SPARES,?,wrong") {
		t.Errorf("it shows %s", out)
	}
}
