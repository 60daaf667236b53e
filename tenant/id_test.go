package tenant_test

import (
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"homeroom/tenant"
)

func TestADatabaseNameEncodesTheID(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		raw := rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id")
		id := tenant.ID(uuid.UUID(raw))
		name := id.Database()
		if len(name) != 28 {
			t.Fatalf("%q has %d bytes", name, len(name))
		}
		back, err := tenant.ParseDatabase(name)
		if err != nil || back != id {
			t.Fatalf("%q reads as %v, %v", name, back, err)
		}
	})
}

func TestParseDatabaseRefusesOtherNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"", "t_", "postgres", "t_aaaaaaaaaaaaaaaaaaaaaaaaa", "t_aaaaaaaaaaaaaaaaaaaaaaaaaaa", "t_AAAAAAAAAAAAAAAAAAAAAAAAAA",
		"t_aaaaaaaaaaaaaaaaaaaaaaaaa1", `t_aaaaaaaaaaaaaaaaaaaaaaaaa"`, "t_aaaaaaaaaaaaaaaaaaaaaaaaaa\n", "x_aaaaaaaaaaaaaaaaaaaaaaaaaa",
		"t_aaaaaaaaaaaaaaaaaaaaaaaaab", "t_dddddddddddddddddddddddddd", // bits beyond the 16th byte are set
	} {
		if id, err := tenant.ParseDatabase(name); err == nil {
			t.Errorf("%q reads as %s", name, id)
		}
	}
}
