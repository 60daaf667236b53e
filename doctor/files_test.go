package doctor_test

import (
	"strings"
	"testing"
)

// TestMigrationFilesThatAreNotThoseOfBefore has a file that has changed since it ran, and tenants of other files.
func TestMigrationFilesThatAreNotThoseOfBefore(t *testing.T) {
	t.Parallel()
	w := setup(t, 0)
	w.school()
	if err := w.catalog.RecordFiles(t.Context(), w.server.Migrations()); err != nil {
		t.Fatal(err)
	}
	w.finds("")
	w.sql("create table backup_files as table schema_files")
	w.sql("update schema_files set hash = 'another' where version = (select max(version) from schema_files)")
	if report := w.finds("migrations_changed"); !strings.Contains(report.Findings[0].Detail, "was changed after it had run") {
		t.Error(describe(report))
	}
	w.sql("delete from schema_files")
	w.sql("insert into schema_files table backup_files")
	w.finds("")
	w.sql("update tenants set lineage = 'of another folder'")
	w.finds("lineage_differs migrations_of_others")
}
