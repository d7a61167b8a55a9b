package health

import "time"

// Limits are the thresholds; a zero field has its default. A value over a limit is a warning, unless said otherwise.
type Limits struct {
	Latency time.Duration // median ping, and between nodes
}

// The defaults of Limits.
const defaultLatency = 50 * time.Millisecond // a LAN has under one; what waits longer is overloaded or far away

func (l Limits) withDefaults() Limits {
	if l.Latency == 0 {
		l.Latency = defaultLatency
	}
	return l
}
