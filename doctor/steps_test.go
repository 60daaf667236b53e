package doctor_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"homeroom/doctor"
)

// codesWithoutSteps are the codes whose findings have no step that removes them, with the reason.
var codesWithoutSteps = map[doctor.Code]string{
	doctor.IdentityWithoutSignup:     "only a person knows whose account it is",
	doctor.IdentityMissing:           "the account must be created again at the provider",
	doctor.IdentityMismatch:          "only a person knows which side is correct",
	doctor.IdentityBlocked:           "somebody blocked the account on purpose",
	doctor.IdentitiesUnconfirmed:     "the cause is in the configuration",
	doctor.IdentitiesUnreachable:     "the provider must answer again",
	doctor.OrganizationWithoutSchool: "only a person knows whose it is, if it has members",
	doctor.OrganizationMissing:       "if no owner is known, a person must create it",
	doctor.DatabaseWithoutRow:        "only a person knows whose the database is",
	doctor.DatabaseUnreadable:        "the cause is an error of Postgres",
	doctor.DatabasesMissing:          "the cause is in the configuration, or the server is lost",
	doctor.LoginsRefused:             "the cause is in the configuration",
	doctor.TenantKeyDiffers:          "the cause is in the configuration",
	doctor.SpareUnfinished:           "the cause is in the log of the service",
	doctor.SpareWithData:             "only a person knows whose data it is, if it cannot be claimed",
	doctor.MigrationsChanged:         "the cause is in the folder of migrations",
	doctor.MigrationsOfOthers:        "the cause is in the folder of migrations",
	doctor.SchemaDrift:               "only a person knows which of the two schemas is correct; the step shows the difference",
	doctor.ReferenceDiffers:          "the file must be restored; the step shows the difference",
	doctor.SignupWithoutSchool:       "rows were changed by hand: a backup has the old ones",
	doctor.UserWithoutSignup:         "likewise",
	doctor.TenantWithoutUser:         "likewise",
	doctor.TenantHeldByNobody:        "likewise",
	doctor.TenantShared:              "likewise",
	doctor.TenantQuarantined:         "it has many possible causes, and names its own",
	doctor.JobStuck:                  "a service must run",
	doctor.EventsWaiting:             "a service must run",
	doctor.MailsUnsent:               "the person who waits for the mail asks for it again",
	doctor.DeliveriesDead:            "the receiver must work again",
	doctor.ServerUnknown:             "the cause is in the configuration",
	doctor.SpareOnUnknownServer:      "the cause is in the configuration",
	doctor.ServerUnreachable:         "the server must answer again",
	doctor.ServerIsAnother:           "the cause is in the configuration, unless all databases are there",
	doctor.ServerWarning:             "the tests of package tenant follow the warning's own advice",
	doctor.StockEmpty:                "a service must run",
}

// binary is the program, built once.
var binary = sync.OnceValues(func() (string, error) {
	folder, err := os.MkdirTemp("", "homeroom-doctor-test")
	if err != nil {
		return "", err
	}
	path := filepath.Join(folder, "homeroom")
	build := exec.Command("go", "build", "-tags", "nomsgpack", "-o", path, "../cmd/homeroom")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w: %s", err, out)
	}
	return folder, nil
})

// homeroom runs a command line as a shell does. Exit code 3 means that there are findings, possibly others.
func (w *world) homeroom(line string) {
	w.Helper()
	folder, err := binary()
	if err != nil {
		w.Fatal(err)
	}
	shell := exec.CommandContext(w.Context(), "sh", "-c", line)
	shell.Env = append(os.Environ(), "PATH="+folder+":"+os.Getenv("PATH"),
		"HOMEROOM_CATALOG_URL="+w.postgres.URL("catalog"), "HOMEROOM_SERVER_MAIN_URL="+w.postgres.URL("postgres"), "HOMEROOM_ALLOW_SUPERUSER=true",
		"HOMEROOM_TENANT_KEY="+base64.StdEncoding.EncodeToString(key), "HOMEROOM_MIN_FREE_DISK=off", "AUTH0_BASE_URL="+w.auth0.URL(),
		"AUTH0_CLIENT_ID=homeroom-dev", "AUTH0_CLIENT_SECRET=homeroom-dev-secret", "AUTH0_AUDIENCE=https://api.homeroom.test",
		fmt.Sprintf("AUTH0_ORGANIZATIONS=%t", w.client.ManagesOrganizations()))
	out, err := shell.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 3) {
		w.Fatalf("%s: %v: %s", line, err, out)
	}
}

// follow follows a step exactly.
func (w *world) follow(step doctor.Step) {
	w.Helper()
	switch {
	case step.Command != "":
		w.homeroom(step.Command)
	case step.Database == doctor.InCatalog:
		w.superuser("catalog", step.SQL)
	default:
		w.superuser(step.Database, step.SQL)
	}
}

// followAll follows the steps of all findings, and reports whether all of them have some.
func (w *world) followAll(report doctor.Report) (all bool) {
	w.Helper()
	all = true
	done := map[doctor.Step]bool{}
	for _, f := range report.Findings {
		if codesWithoutSteps[f.Code] != "" && f.Fix == "" {
			all = false
		} else if len(f.Next) == 0 {
			w.Errorf("%s has no step, and is not listed as one that has none", f.Code)
		}
		for _, step := range f.Next {
			if !done[step] {
				w.follow(step)
			}
			done[step] = true
		}
	}
	return all
}

// TestEveryCodeIsInATest checks that the tests of this package find every code.
func TestEveryCodeIsInATest(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, quoted := range regexp.MustCompile(`"[a-z_ ]+"`).FindAllString(string(text), -1) {
			for code := range strings.FieldsSeq(strings.Trim(quoted, `"`)) {
				found[code] = true
			}
		}
	}
	for _, code := range doctor.Codes() {
		if !found[string(code)] {
			t.Errorf("no test finds %s", code)
		}
	}
}
