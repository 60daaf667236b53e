package tenant_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"homeroom/internal/secret"
	"homeroom/tenant"
)

// The example creates a tenant's database, or repairs it.
func ExampleServer_Ensure() {
	ctx := context.Background()
	server, err := tenant.Open(tenant.Config{
		URL: secret.String(os.Getenv("HOMEROOM_SERVER_MAIN_URL")),
		Key: []byte(os.Getenv("HOMEROOM_TENANT_KEY")),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	id, rotation := tenant.NewID(), 0
	result, err := server.Ensure(ctx, id, rotation, nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("database", id.Database(), "has version", result.Version)
}

func ExampleParseDatabase() {
	id, err := tenant.ParseDatabase("t_agmigfmyoz5jkmutecsnicsrz4")
	fmt.Println(id, err)
	_, err = tenant.ParseDatabase("postgres")
	fmt.Println(err)
	// Output:
	// 01988315-9876-7a95-3293-20a4d40a51cf <nil>
	// "postgres" is not the name of a tenant's database
}

func ExampleSchema_Diff() {
	want := tenant.Schema{"index public.menus_by_day btree (day)", "table public.menus"}
	got := tenant.Schema{"table public.menus", "table public.notes"}
	for _, difference := range want.Diff(got) {
		fmt.Println(difference)
	}
	// Output:
	// missing index public.menus_by_day
	// unexpected table public.notes
}
