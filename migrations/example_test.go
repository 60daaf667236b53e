package migrations_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"testing/fstest"

	"github.com/jackc/pgx/v5"

	"homeroom/migrations"
)

// The example migrates a database with the files of a folder.
func ExampleSet_Up() {
	ctx := context.Background()
	set, err := migrations.Load(os.DirFS("schema"))
	if err != nil {
		log.Fatal(err) // names every file with an error
	}
	conn, err := pgx.Connect(ctx, os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close(ctx)
	result, err := set.Up(ctx, conn)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("migrated from version", result.From, "to", result.To)
}

func ExampleSet_Between() {
	set, err := migrations.Load(fstest.MapFS{
		"000001_menus.up.sql":    {Data: []byte("create table menus (day date primary key)")},
		"000001_menus.down.sql":  {Data: []byte("drop table menus")},
		"000002_orders.up.sql":   {Data: []byte("create table orders (id uuid primary key)")},
		"000002_orders.down.sql": {Data: []byte("drop table orders")},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(set.Between(0, set.Latest()))
	fmt.Println(set.Between(2, 1))
	// Output:
	// [000001_menus.up.sql 000002_orders.up.sql] <nil>
	// [000002_orders.down.sql] <nil>
}
