//go:build linux || darwin || freebsd

package tenant

import (
	"math"

	"golang.org/x/sys/unix"
)

// freeBytes returns how many bytes an ordinary user can write in the fullest of these folders; known is false if one of
// them cannot be read.
func freeBytes(folders ...string) (free int64, known bool) {
	free = math.MaxInt64
	for _, folder := range folders {
		var stat unix.Statfs_t
		if err := unix.Statfs(folder, &stat); err != nil {
			return 0, false
		}
		free = min(free, int64(stat.Bavail)*int64(stat.Bsize)) //nolint:unconvert // the types differ between systems
	}
	return free, true
}
