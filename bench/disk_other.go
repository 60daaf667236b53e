//go:build !(linux || darwin || freebsd)

package main

// freeSpace is unknown on this system.
func freeSpace(string) (bytes uint64, known bool) { return 0, false }

// syncDisks does nothing on this system.
func syncDisks() {}
