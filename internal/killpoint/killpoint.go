//go:build !killpoints

// Package killpoint names the places at which a crash test kills the process.
//
// Without the build tag killpoints a point is nothing. With it, the environment variable HOMEROOM_KILL_AT names the point
// at which the process ends by SIGKILL, as if its machine had lost power.
package killpoint

// Here is a point of this name.
func Here(string) {}
