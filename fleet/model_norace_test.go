//go:build !race

package fleet_test

// raceDetector reports whether the race detector is built in.
const raceDetector = false
