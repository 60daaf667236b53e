//go:build linux || darwin || freebsd

package main

import "golang.org/x/sys/unix"

// freeSpace is the number of free bytes on the disk of a folder.
func freeSpace(folder string) (bytes uint64, known bool) {
	var fs unix.Statfs_t
	if err := unix.Statfs(folder, &fs); err != nil {
		return 0, false
	}
	return uint64(fs.Bavail) * uint64(fs.Bsize), true //nolint:unconvert // signed on some systems, never negative
}

// syncDisks makes the kernel write its caches to disk.
func syncDisks() { unix.Sync() }
