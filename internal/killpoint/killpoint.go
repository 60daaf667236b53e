//go:build !killpoints

// Package killpoint names the places at which a crash test kills the process.
//
// Without the build tag killpoints, a point does nothing, and durations are not changed. With it, the environment
// variable HOMEROOM_KILL_AT names the point at which the process ends by SIGKILL, as in a power failure: "name", or
// "name:3" for the third time that it reaches the point. HOMEROOM_KILL_TRACE names a file that gets a line for every
// point that is reached. HOMEROOM_HASTE divides the durations for which only recovery waits.
//
// Every side effect lies between two points: at the first it has not begun, at the second it is done and its caller
// does not know yet. The crash tests of cmd/homeroom have a line for each point of the source.
package killpoint

import "time"

// Here is a kill point with this name.
func Here(string) {}

// ScaleTime returns the duration as it is.
func ScaleTime(d time.Duration) time.Duration { return d }
