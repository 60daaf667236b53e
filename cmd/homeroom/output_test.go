package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestPsqlGetsItsOwnArguments(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"tenant psql lincoln-high -Atc select": "tenant psql lincoln-high -- -Atc select",
		"tenant psql lincoln-high -- -At":      "tenant psql lincoln-high -- -At",
		"tenant psql lincoln-high":             "tenant psql lincoln-high",
		"tenant psql --help now":               "tenant psql --help now",
		"tenant list -o json":                  "tenant list -o json",
	} {
		if got := strings.Join(withoutReading(strings.Fields(given)), " "); got != want {
			t.Errorf("%q becomes %q, want %q", given, got, want)
		}
	}
}

// TestListsEscapeTheirCells: control characters and formulas in a school's name or a cause are shown, and have no
// effect.
func TestListsEscapeTheirCells(t *testing.T) {
	t.Parallel()
	header := []string{"NAME", "PROBLEM"}
	rows := [][]string{{"=cmd|' /C calc'!A1", "a\x1b]0;owned\a\nb"}, {"-", "\u009b2J\u202e"}}
	for form, want := range map[string]string{
		"table": "NAME                PROBLEM\n=cmd|' /C calc'!A1  a\\u001b]0;owned\\u0007\\u000ab\n-                   \\u009b2J\\u202e\n",
		"csv":   "NAME,PROBLEM\n'=cmd|' /C calc'!A1,a\\u001b]0;owned\\u0007\\u000ab\n-,\\u009b2J\\u202e\n",
	} {
		var out bytes.Buffer
		if err := (output{form}).print(&out, header, rows, nil); err != nil || out.String() != want {
			t.Errorf("%s: %v\n%s\nwant\n%s", form, err, out.String(), want)
		}
	}
}

func TestListsInEveryForm(t *testing.T) {
	t.Parallel()
	header := []string{"SLUG", "NAME", "VERSION"}
	rows := [][]string{{"dong-jing", "東京小学校", "4"}, {"a", `Lincoln, "High"`, "12"}}
	items := []map[string]string{{"slug": "a"}}
	for form, want := range map[string]string{
		"table": "SLUG       NAME             VERSION\n" +
			"dong-jing  東京小学校       4\n" +
			"a          Lincoln, \"High\"  12\n",
		"csv":  "SLUG,NAME,VERSION\ndong-jing,東京小学校,4\na,\"Lincoln, \"\"High\"\"\",12\n",
		"json": "[\n  {\n    \"slug\": \"a\"\n  }\n]\n",
	} {
		var out bytes.Buffer
		if err := (output{form}).print(&out, header, rows, items); err != nil || out.String() != want {
			t.Errorf("%s: %v\n%s\nwant\n%s", form, err, out.String(), want)
		}
	}
}
