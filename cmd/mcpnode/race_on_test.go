//go:build race

package main

// raceEnabled says that memory figures mean nothing.
const raceEnabled = true
