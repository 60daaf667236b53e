package migrations_test

import (
	"fmt"
	"os"
	"testing"
	"testing/fstest"

	"homeroom/internal/pgtest"
	"homeroom/migrations"
)

// twentyFiles is a schema of twenty files, a table and an index each.
func twentyFiles() fstest.MapFS {
	files := fstest.MapFS{}
	for i := 1; i <= 20; i++ {
		text := fmt.Sprintf("create table t%d (id bigint primary key, name text not null); create index on t%d (name);", i, i)
		files[fmt.Sprintf("%06d_t.up.sql", i)] = &fstest.MapFile{Data: []byte(text)}
	}
	return files
}

func BenchmarkTwentyFiles(b *testing.B) {
	set, err := migrations.Load(twentyFiles())
	must(b, err)
	b.Run("ours", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			conn := newDatabase(b)
			b.StartTimer()
			up(b, set, conn)
		}
	})
	b.Run("stock", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			url := pgtest.Database(b)
			b.StartTimer()
			must(b, engine(b, twentyFiles(), stockDriver(b, url)).Up())
		}
	})
}

func BenchmarkNothingToDo(b *testing.B) {
	url := pgtest.Database(b)
	conn := connect(b, url)
	set := migrations.Tenant()
	up(b, set, conn)
	b.Run("ours", func(b *testing.B) {
		for b.Loop() {
			up(b, set, conn)
		}
	})
	b.Run("ours, connecting", func(b *testing.B) {
		for b.Loop() {
			conn := connect(b, url)
			up(b, set, conn)
			conn.Close(b.Context())
		}
	})
	b.Run("stock, connecting", func(b *testing.B) {
		for b.Loop() {
			driver := stockDriver(b, url)
			if err := engine(b, os.DirFS("tenant"), driver).Up(); err == nil {
				b.Fatal("something to do")
			}
			driver.Close()
		}
	})
}

// One file on a database that is behind, as a run over a fleet migrates thousands, compared with the same SQL in one
// message.
func BenchmarkOneFile(b *testing.B) {
	behind := pgtest.Database(b)
	const file = "create table if not exists a (id bigint)"
	before, set := load(b, "select 1"), load(b, "select 1", file)
	other := connect(b, behind)
	up(b, before, other)
	b.Run("ours, connecting", func(b *testing.B) {
		for b.Loop() {
			conn := connect(b, behind)
			up(b, set, conn)
			conn.Close(b.Context())
			b.StopTimer()
			exec(b, other, "update schema_migrations set version = 1")
			b.StartTimer()
		}
	})
	b.Run("bare, connecting", func(b *testing.B) {
		for b.Loop() {
			conn := connect(b, behind)
			exec(b, conn, file)
			conn.Close(b.Context())
			b.StopTimer()
			exec(b, other, "update schema_migrations set version = 1")
			b.StartTimer()
		}
	})
}
