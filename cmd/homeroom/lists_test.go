package main

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/google/uuid"

	"homeroom/catalog"
	"homeroom/internal/pgtest"
	"homeroom/migrations"
)

// TestNoListIsNull runs every command that has -o json where there is nothing to list. A new command needs a line
// here.
func TestNoListIsNull(t *testing.T) {
	t.Parallel()
	postgres := pgtest.Private(t, nil)
	w := newWorld(t, postgres.URL("catalog"), postgres.URL("postgres"), 0)
	if code, _, errs := w.homeroom(t, "migrate"); code != exitOK {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	id := w.addRun(t)
	waiting := w.addSignup(t)
	_, out, _ := w.homeroom(t, "webhook", "add", "https://example.com/told", "-o", "json")
	var hook struct{ ID string }
	if err := json.Unmarshal([]byte(out), &hook); err != nil {
		t.Fatal(err)
	}
	database := makeTenants(t, w.catalogURL, w.serverURL, "../../migrations/tenant", 1)[0].Database()
	given := map[string]string{
		"migrate run": "", "migrate list": "", "migrate show": id.String(), "tenant list": "", "tenant show": database, "tenant drift": "",
		"config show": "", "doctor": "", "signup list": "", "signup show": waiting.String(), "webhook add": "https://example.com/b", "webhook list": "", "webhook show": hook.ID,
		"webhook rotate": hook.ID, "webhook deliveries": hook.ID, "webhook ping": hook.ID,
	}
	for _, name := range withLists(t) {
		args, known := given[name]
		if !known {
			t.Errorf("homeroom %s has -o json, and no line in this test", name)
			continue
		}
		_, out, errs := w.homeroom(t, append(strings.Fields(name+" "+args), "-o", "json")...)
		var value any
		lists := strings.ReplaceAll(out, `"ChangedBy": null`, "") // nobody has changed it
		if err := json.Unmarshal([]byte(out), &value); err != nil || strings.Contains(lists, "null") {
			t.Errorf("homeroom %s: %v\n%s%s", name, err, out, errs)
		}
	}
	if _, out, _ := w.homeroom(t, "migrate", "--plan", "-o", "json"); !strings.Contains(out, `"waves": []`) {
		t.Errorf("the plan: %s", out)
	}
	if _, out, _ := w.homeroom(t, "doctor", "-o", "json"); !strings.Contains(out, `"findings": []`) && !strings.Contains(out, `"findings": [`+"\n") {
		t.Errorf("the doctor: %s", out)
	}
}

// TestSignupsOfEveryStatusCanBeListedAndShown: what waits for approval is only the default.
func TestSignupsOfEveryStatusCanBeListedAndShown(t *testing.T) {
	t.Parallel()
	postgres := pgtest.Private(t, nil)
	w := newWorld(t, postgres.URL("catalog"), postgres.URL("postgres"), 0)
	id := w.addSignup(t).String()
	for args, want := range map[string]string{
		"signup list":                                "No sign-up waits for approval.\n",
		"signup list --status ready":                 "No sign-up has this status.\n",
		"signup list --status awaiting_verification": id,
		"signup list --status all -o csv":            id + ",Lincoln High,Ada Lovelace,ada@lincoln.example,no,",
		"signup show " + id:                          "awaiting_verification",
		"signup show " + id + " -o json":             `"steps": [`,
	} {
		if code, out, errs := w.homeroom(t, strings.Fields(args)...); code != exitOK || !strings.Contains(out, want) {
			t.Errorf("homeroom %s: exit code %d\n%s%s", args, code, out, errs)
		}
	}
	unknown := uuid.NewString()
	if code, _, errs := w.homeroom(t, "signup", "show", unknown); code != exitCannot || !strings.Contains(errs, "there is no sign-up "+unknown+": homeroom signup list --status all shows all") {
		t.Errorf("an unknown one: exit code %d: %s", code, errs)
	}
	enum, _ := reflect.TypeFor[signupList]().FieldByName("Status")
	var statuses []string
	for _, status := range catalog.Statuses {
		statuses = append(statuses, string(status))
	}
	if want := strings.Join(append(statuses, "all"), ","); enum.Tag.Get("enum") != want {
		t.Errorf("--status takes %s, not %s", enum.Tag.Get("enum"), want)
	}
}

// addSignup writes a sign-up that waits until its e-mail is confirmed.
func (w *world) addSignup(t *testing.T) uuid.UUID {
	t.Helper()
	store, err := catalog.Open(t.Context(), catalog.Config{URL: w.catalogURL})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	params := catalog.ReserveParams{
		SignupID: uuid.New(), UserID: uuid.Must(uuid.NewV7()), Email: "ada@lincoln.example", SchoolName: "Lincoln High",
		Person: catalog.Person{GivenName: "Ada", FamilyName: "Lovelace"}, RequestHash: []byte("hash"), Steps: json.RawMessage(`[]`),
	}
	if _, err := store.ReserveUnconfirmed(t.Context(), params, false, false, time.Hour); err != nil {
		t.Fatal(err)
	}
	return params.SignupID
}

// withLists names the commands that have -o.
func withLists(t *testing.T) (names []string) {
	t.Helper()
	parser, err := kong.New(&commands{})
	if err != nil {
		t.Fatal(err)
	}
	for _, leaf := range parser.Model.Leaves(false) {
		for _, flag := range leaf.Flags {
			if flag.Name == "output" {
				names = append(names, strings.TrimPrefix(leaf.FullPath(), parser.Model.Name+" "))
			}
		}
	}
	return names
}

// addRun writes a run that had nothing to do.
func (w *world) addRun(t *testing.T) uuid.UUID {
	t.Helper()
	store, err := catalog.Open(t.Context(), catalog.Config{URL: w.catalogURL})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	set := migrations.Tenant()
	run := catalog.NewRun{
		ID: uuid.Must(uuid.NewV7()), Lineage: set.Lineage(), SchemaHash: set.Hash(), ToVersion: set.Latest(), Direction: "up", StartedBy: "test",
		Concurrency: 1,
	}
	if err := store.StartRun(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	if err := store.FinishRun(t.Context(), run.ID, catalog.RunDone, "there was nothing to do"); err != nil {
		t.Fatal(err)
	}
	return run.ID
}
