package main

import (
	"fmt"
	"syscall"
)

// mountSmall mounts a small disk in memory on a folder, which only root can do.
func mountSmall(dir string) error {
	return syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=711", smallDisk))
}

func unmount(dir string) error { return syscall.Unmount(dir, 0) }
