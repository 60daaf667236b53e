//go:build !killpoints

// Package killpoint names the places at which a crash test kills the process.
//
// Without the build tag killpoints a point is nothing, and time passes as it does. With it, the environment variable
// HOMEROOM_KILL_AT names the point at which the process ends by SIGKILL, as if its machine had lost power: "name", or
// "name:3" for the third time that it comes there. HOMEROOM_KILL_TRACE names a file that gets a line for every point it comes
// to. HOMEROOM_HASTE divides the durations that only recovery waits for.
//
// Every side effect lies between two points: one says that it has not begun, the next that it is done and nobody has been
// told. The crash tests of cmd/homeroom have a line for each point of the source.
package killpoint

import "time"

// Here is a point of this name.
func Here(string) {}

// ScaleTime is how long a wait of this duration takes: as long.
func ScaleTime(d time.Duration) time.Duration { return d }
