//go:build !unix

package pgtest

import (
	"io/fs"
	"os"
)

func ours(fs.FileInfo) bool { return true }

func alive(pid int) bool {
	process, err := os.FindProcess(pid)
	if err != nil {
		return false
	}
	_ = process.Release()
	return true
}
