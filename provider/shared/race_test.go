//go:build race

package shared_test

// raceEnabled says that the race detector is at work.
const raceEnabled = true
