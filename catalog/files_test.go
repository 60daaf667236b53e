package catalog_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/uuid"

	"homeroom/catalog"
	"homeroom/migrations"
)

// folder returns a set of files, "number content" each.
func folder(t *testing.T, files ...string) *migrations.Set {
	t.Helper()
	dir := fstest.MapFS{}
	for _, file := range files {
		number, content, _ := strings.Cut(file, " ")
		dir[number+"_step.up.sql"] = &fstest.MapFile{Data: []byte(content)}
	}
	set, err := migrations.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// tenantAt inserts a spare of a schema at a version.
func tenantAt(t *testing.T, store *catalog.Store, lineage string, version uint) uuid.UUID {
	t.Helper()
	id := uuid.Must(uuid.NewV7())
	if err := store.InsertSpare(t.Context(), catalog.NewSpare{ID: id, Server: "main", Database: database(uuid.New()), Lineage: lineage}); err != nil {
		t.Fatal(err)
	}
	if err := store.MarkSpareBuilt(t.Context(), id, catalog.Health{Version: version}, json.RawMessage(`[]`)); err != nil {
		t.Fatal(err)
	}
	return id
}

func TestFilesThatHaveRunMustStay(t *testing.T) {
	t.Parallel()
	before := []string{"1 select 1", "3 select 3", "4 select\n4"}
	for name, c := range map[string]struct {
		files []string
		want  []string // the names with a problem; none means that all are valid
	}{
		"the same":                             {before, nil},
		"windows line ends":                    {[]string{"1 select 1", "3 select 3", "4 select\r\n4"}, nil},
		"a newer program":                      {append(before, "5 select 5"), nil},
		"an older program":                     {before[:1], nil},
		"another schema":                       {[]string{"1 select 0", "2 select 2"}, nil},
		"an edited file":                       {[]string{"1 select 1", "3 select 0", "4 select\n4"}, []string{"3_step.up.sql: was changed after it had run"}},
		"a lower number":                       {append([]string{"2 select 2"}, before...), []string{"2_step.up.sql: has a lower number than 4_step.up.sql"}},
		"a file that is gone":                  {[]string{"1 select 1", "4 select\n4"}, []string{"3_step.up.sql: has run in tenants' databases and is missing"}},
		"an edited file that nobody has":       {append(before, "9 select 0"), nil},
		"a file before one that nobody has":    {append(before, "8 select 8", "9 select 9"), nil},
		"one gone before one that nobody has":  {append(before, "10 select 10"), nil},
		"every fault at once":                  {[]string{"1 select 1", "2 select 2", "4 select 0"}, []string{"2_step", "3_step", "4_step"}},
		"an edited file of an older program":   {[]string{"1 select 1", "3 select 0"}, []string{"3_step.up.sql: was changed"}},
		"a lower number of an older program's": {[]string{"1 select 1", "2 select 2", "3 select 3"}, []string{"2_step.up.sql: has a lower number"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := setup(t)
			set := folder(t, append(before, "9 select 9")...)
			tenantAt(t, store, set.Lineage(), 4)
			for range 2 {
				if err := store.RecordFiles(t.Context(), set); err != nil {
					t.Fatal(err)
				}
			}
			now := folder(t, c.files...)
			checked, kept := store.CheckFiles(t.Context(), now), store.RecordFiles(t.Context(), now)
			if fmt.Sprint(checked) != fmt.Sprint(kept) || len(catalog.ChangedFiles(kept)) != len(c.want) {
				t.Fatalf("checked: %v; kept: %v; want %d faults", checked, kept, len(c.want))
			}
			for _, want := range c.want {
				if !strings.Contains(kept.Error(), want) {
					t.Errorf("%v does not say %q", kept, want)
				}
			}
			// A valid set is recorded, an invalid one changes nothing.
			tenantAt(t, store, set.Lineage(), 100)
			if c.want == nil && now.Lineage() == set.Lineage() {
				set = now
			}
			if err := store.CheckFiles(t.Context(), set); err != nil && len(set.Files()) >= len(before) {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}

// A file may change until a tenant has it, and again after all tenants were migrated down.
func TestAFileCountsOnceATenantHasIt(t *testing.T) {
	t.Parallel()
	store := setup(t)
	first, second := folder(t, "1 select 1", "2 select 2"), folder(t, "1 select 1", "2 select 0")
	id := tenantAt(t, store, first.Lineage(), 1)
	for i, set := range []*migrations.Set{first, second, first} {
		if err := store.RecordFiles(t.Context(), set); err != nil {
			t.Fatalf("time %d: %v", i, err)
		}
	}
	exec(t, store, "update tenants set schema_version = 2 where id = $1", id)
	if err := store.RecordFiles(t.Context(), second); len(catalog.ChangedFiles(err)) != 1 {
		t.Errorf("a tenant has it: %v", err)
	}
	exec(t, store, "update tenants set schema_version = 1 where id = $1", id)
	if err := store.RecordFiles(t.Context(), second); err != nil {
		t.Errorf("nobody has it any more: %v", err)
	}
}

func TestAKnownReferenceIsNotOverwritten(t *testing.T) {
	t.Parallel()
	store := setup(t)
	reference := func(fingerprint string, postgres int, grants string) catalog.Reference {
		return catalog.Reference{
			Lineage: "lunch", Version: 3, Fingerprint: fingerprint, Lines: []string{"table " + fingerprint}, Postgres: postgres, Grants: grants,
		}
	}
	known := func() string {
		return value[string](t, store, "select fingerprint || ' ' || coalesce(postgres, 0) from schema_references")
	}
	for i, c := range []struct {
		reference catalog.Reference
		refused   bool
		known     string
	}{
		{reference("a", 15, "x"), false, "a 15"},
		{reference("a", 15, "x"), false, "a 15"},
		{reference("b", 15, "x"), true, "a 15"},
		{reference("b", 15, "y"), false, "b 15"},
		{reference("c", 18, "y"), false, "c 18"},
		{reference("a", 15, "y"), false, "c 18"},
		{reference("a", 18, "y"), true, "c 18"},
	} {
		err := store.SetReference(t.Context(), c.reference)
		var differs *catalog.ReferenceError
		if errors.As(err, &differs) != c.refused || err != nil && !c.refused || known() != c.known {
			t.Errorf("step %d: %v, known is %s, want %s", i, err, known(), c.known)
		}
		if c.refused && (differs.Known.Lines[0] == differs.New.Lines[0] || !strings.Contains(err.Error(), "delete from schema_references")) {
			t.Errorf("step %d: %+v", i, differs)
		}
	}
	exec(t, store, "update schema_references set postgres = null, grants = null") // as an older program recorded it
	if err := store.SetReference(t.Context(), reference("d", 18, "y")); err != nil || known() != "d 18" {
		t.Errorf("after an older program: %v, known is %s", err, known())
	}
}

func TestTenantsOfALineageThatIsComputedAnew(t *testing.T) {
	t.Parallel()
	store := setup(t)
	for _, lineage := range []string{"lunch", "library", "old"} {
		tenantAt(t, store, lineage, 3)
	}
	if err := store.SetReference(t.Context(), catalog.Reference{Lineage: "old", Version: 3, Fingerprint: "a", Lines: []string{}}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := store.ReplaceLineage(t.Context(), "old", "lunch"); err != nil {
			t.Fatal(err)
		}
		if got := value[string](t, store, "select string_agg(lineage, ' ' order by lineage) from tenants"); got != "library lunch lunch" {
			t.Errorf("lineages are %s", got)
		}
		if n := value[int](t, store, "select count(*) from schema_references"); n != 0 {
			t.Errorf("%d references of what had other line ends are kept", n)
		}
	}
}
