package launcher

import (
	"cmp"
	"context"
	"os"
	"time"
)

// Restart says what becomes of a node whose process ends without being asked to.
type Restart string

// The restart policies.
const (
	// RestartNever leaves it down: in a test a crash is a result.
	RestartNever Restart = "never"
	// RestartOnCrash starts it again unless it ended with exit status 0, after a pause that grows from crash to crash.
	RestartOnCrash Restart = "on-crash"
)

const (
	// firstPause before a restart: long enough for EPMD and peers to have noticed that the node is gone.
	firstPause = time.Second
	// longestPause keeps a node that always crashes from taking the machine's time, and is still short for a person who waits.
	longestPause = 30 * time.Second
	// goodLife is how long a node has to live for its next crash to count as the first.
	goodLife = time.Minute
)

// exited is what happens when a member's process has ended.
func (s *supervisor) exited(m *member, l *life) {
	e := Event{Node: m.name, Stage: StageExited, Detail: l.exit.String()}
	switch {
	case l.asked.Load(), s.up.Err() != nil:
		e.Stage = StageStopped
	case l.exit != exit{}:
		e.Stage = StageCrashed
		cause := s.crashCause(m, l)
		m.mu.Lock()
		m.crash = cmp.Or(cause, l.exit.cause())
		e.Cause = m.crash
		m.mu.Unlock()
		if cause != "" {
			e.Detail += ": " + cause
		}
	}
	l.ended = time.Now().UTC()
	close(l.exited)
	s.events.record(e)
	if e.Stage != StageCrashed || s.Spec.launch(m.spec).Restart != RestartOnCrash || !closed(s.started) {
		return
	}
	s.membersMu.Lock() // so that it is seen by who waits for wg
	defer s.membersMu.Unlock()
	if s.up.Err() == nil {
		s.wg.Go(func() { s.revive(m, l) })
	}
}

// revive starts a crashed node again, unless somebody does something about it meanwhile. Should the new process crash too, that
// is another revive.
func (s *supervisor) revive(m *member, l *life) {
	for m.now() == l { // until there is a new process
		pause := m.pause()
		s.events.emit(m.name, StageWaiting, "restart in "+pause.String())
		select {
		case <-time.After(pause):
		case <-s.up.Done():
			return
		}
		if s.take(s.up) != nil {
			return
		}
		if m.now() == l && !l.asked.Load() && s.member(m.short) == m {
			m.mu.Lock()
			m.restarts++
			m.mu.Unlock()
			ctx, cancel := context.WithCancel(s.up)
			_ = s.startAgain(ctx, []*member{m}, s.Spec.Ready) // an event says what was wrong
			cancel()
		}
		s.release()
		if l.asked.Load() || s.member(m.short) != m {
			return
		}
	}
}

// pause returns how long to wait before the next restart.
func (m *member) pause() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	if time.Since(m.since) > goodLife {
		m.failures = 0
	}
	m.failures++
	pause := firstPause << min(m.failures-1, 10)
	return min(pause, longestPause)
}

// keepCrashDump moves the crash dump of a member's last life out of the way of the next: one is kept, they are large.
func (s *supervisor) keepCrashDump(m *member) {
	_ = os.Rename(s.Place.crashDump(m.short), s.Place.crashDump(m.short)+".1") // mostly there is none
}

func (r Restart) validate(fault func(format string, args ...any)) {
	switch r {
	case "", RestartNever, RestartOnCrash:
	default:
		fault("restart policy %q is neither %s nor %s", r, RestartNever, RestartOnCrash)
	}
}
