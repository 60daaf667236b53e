package main

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
	"time"
)

// play hands lines to a report, each a minute after the one before.
func play(verbose bool, count counted, lines ...string) string {
	var out bytes.Buffer
	at := time.Time{}
	report := newReport(&out, verbose, count, func() time.Time { return at })
	for _, line := range lines {
		at = at.Add(time.Minute)
		report.add(line + "\n")
	}
	report.end()
	return out.String()
}

var session = []string{
	`{"Action":"start","Package":"p"}`,
	`{"Action":"output","Package":"p","Test":"TestA","Output":"=== RUN   TestA\n"}`,
	`{"Action":"output","Package":"p","Test":"TestA","Output":"noise\n"}`,
	`{"Action":"pass","Package":"p","Test":"TestA"}`,
	`{"Action":"output","Package":"p","Test":"TestB/part","Output":"    b_test.go:1: wrong\n"}`,
	`{"Action":"fail","Package":"p","Test":"TestB/part"}`,
	`{"Action":"fail","Package":"p","Test":"TestB"}`,
	`{"Action":"output","Package":"p","Output":"FAIL\n"}`,
	`{"Action":"output","Package":"p","Output":"FAIL\tp\t0.1s\n"}`,
	`{"Action":"fail","Package":"p"}`,
	`not json`,
}

func TestTheReportHasTheResultLinesOfGoTest(t *testing.T) {
	t.Parallel()
	got := play(false, counted{2, 4}, session...)
	want := "    b_test.go:1: wrong\nFAIL\nFAIL\tp\t0.1s\n… 1 of 2 packages and 2 of 4 tests have ended, 1 failed, after 10m0s; about 10m0s to go\nnot json\n" +
		"failed: p TestB/part\nfailed: p TestB\n"
	if got != want {
		t.Errorf("it prints\n%s\nwant\n%s", got, want)
	}
	if got := play(true, counted{}, session...); !strings.Contains(got, "=== RUN   TestA\nnoise\n") || !strings.Contains(got, "… 1 packages and 2 tests") {
		t.Errorf("with -v it prints\n%s", got)
	}
}

func TestWhatAPanicLeavesIsShown(t *testing.T) {
	t.Parallel()
	got := play(false, counted{1, 1},
		`{"Action":"output","Package":"p","Test":"TestA","Output":"panic: oh\n"}`, `{"Action":"output","Package":"p","Output":"FAIL\tp\t0.1s\n"}`,
		`{"Action":"fail","Package":"p"}`)
	if !strings.Contains(got, "panic: oh\n") {
		t.Errorf("it prints %s", got)
	}
}

func TestTheTestsOfAFileAreCounted(t *testing.T) {
	t.Parallel()
	text := "func TestMain(m *testing.M) {}\nfunc TestOne(t *testing.T) {}\nfunc FuzzTwo(f *testing.F) {}\nfunc help() {}\n// func TestNot(\n"
	if n := testsIn(text, regexp.MustCompile("")); n != 2 {
		t.Errorf("%d tests, want 2", n)
	}
	if n := testsIn(text, regexp.MustCompile(runPattern([]string{"-race", "-run", "One"}))); n != 1 {
		t.Errorf("%d tests, want 1", n)
	}
	count, err := countTests([]string{"-race", "-parallel", "8", "-timeout", "20m", "."})
	if err != nil || count != (counted{1, 3}) {
		t.Errorf("here are %+v, %v", count, err)
	}
}
