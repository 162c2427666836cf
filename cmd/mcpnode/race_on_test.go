//go:build race

package main

// raceEnabled reports that the race detector is on and memory figures mean nothing.
const raceEnabled = true
