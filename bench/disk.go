package main

import (
	"fmt"
	"slices"
)

const (
	// databaseSize is the size of a tenant's database on disk, with the migrations that the fleet's section adds.
	databaseSize = 12 << 20
	// keepFree is for the write-ahead logs, for databases of sign-ups, and for other users of the disk.
	keepFree = 5 << 30
)

// fit reduces the numbers of tenants to the space on the disk, and prints that.
func (b *testbed) fit() error {
	free, known := freeSpace(b.folder)
	if !known || !b.runs("startup", "scale", "memory", "fleet") {
		return nil
	}
	room := max(int(free)-keepFree, 0) / databaseSize
	take := func(what string, wanted int) int {
		n := min(wanted, room)
		if n < wanted {
			b.logf("%s has %d GB free, which is room for %d tenants instead of %d in %s", b.folder, free>>30, n, wanted, what)
		}
		room -= n
		return n
	}
	shared := b.tenants
	if b.tenants = take("all sections", shared); b.tenants == 0 {
		return fmt.Errorf("%s has %d GB free, and %d must stay: give another folder with -dir", b.folder, free>>30, keepFree>>30)
	}
	if !b.runs("scale") {
		return nil
	}
	for i, level := range b.scale {
		if level == shared {
			b.scale[i] = b.tenants
		} else {
			b.scale[i] = take("the section scale", level)
		}
	}
	slices.Sort(b.scale)
	b.scale = slices.Compact(slices.DeleteFunc(b.scale, func(level int) bool { return level == 0 }))
	return nil
}
