package epmd_test

import "time"

// How long a test waits for what comes by itself, and how often it looks.
const (
	patience = 10 * time.Second
	tick     = 10 * time.Millisecond
)
