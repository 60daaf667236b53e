//go:build race

package signup_test

// raceDetector reports whether the race detector is built in.
const raceDetector = true
