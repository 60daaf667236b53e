//go:build race

package signup_test

// raceDetector tells whether the race detector is built in.
const raceDetector = true
