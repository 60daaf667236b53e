//go:build race

package fleet_test

// raceDetector tells whether the race detector is built in.
const raceDetector = true
