//go:build race

package modeltest

// raceDetector reports whether the race detector is built in.
const raceDetector = true
