package diagnose

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/checks"
)

// What a log says of a connection is due where one of its ends was down, or was a guest.
func TestDue(t *testing.T) {
	t.Parallel()
	base := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	at := func(seconds int) time.Time { return base.Add(time.Duration(seconds) * time.Second) }
	overlap := func(peers ...string) class { return class{kind: KindOverlap, peers: peers} }
	r := &Report{}
	assert.False(t, r.due(overlap("a@h", "b@h"), at(0)), "nobody has recorded anything")
	assert.True(t, r.due(overlap("a@h", "3FNZ0JN5QDBJS@h"), at(0)), "a name that the node gave to a guest")
	r.recall([]Event{
		{Time: at(0), Node: "a@h", Change: Started},
		{Time: at(1), Node: "a@h", Change: Ready},
		{Time: at(30), Node: "b@h", Change: Ready}, // what was before is in an older file
		{Time: at(100), Node: "b@h", Change: Left},
		{Time: at(101), Node: "b@h", Change: Left, Bad: true},
		{Time: at(110), Node: "b@h", Change: Started},
		{Time: at(115), Node: "b@h", Change: Ready},
		{Time: at(200), Node: "guest", Change: Ready},
	})
	for seconds, want := range map[int]bool{1: true, 10: false, 90: false, 99: true, 105: true, 113: true, 116: true, 130: false} {
		assert.Equal(t, want, r.due(overlap("a@h", "b@h"), at(seconds)), "after %d s", seconds)
		assert.Equal(t, want, r.due(overlap("b@h", "a@h"), at(seconds)), "after %d s", seconds)
	}
	assert.True(t, r.due(overlap("a@h", "guest@h"), at(50)), "it is no node of the cluster")
	assert.False(t, r.due(class{kind: KindServer}, at(105)), "it is about no connection")
	assert.False(t, r.due(class{kind: KindCookie, peers: []string{"guest@h"}}, at(105)))
	assert.Equal(t, at(110), r.since("b@h"))
}

// What is over is told as that.
func TestPast(t *testing.T) {
	t.Parallel()
	begin := time.Now().Add(-time.Hour)
	at := func(minutes int) time.Time { return begin.Add(time.Duration(minutes) * time.Minute) }
	crashes := func(node string, minutes ...int) (out []Event) {
		for _, m := range minutes {
			out = append(out, Event{Time: at(m), Node: node, Change: Started},
				Event{Time: at(m), Node: node, Change: Ready},
				Event{Time: at(m + 1), Node: node, Change: Left, Bad: true, What: "crashed", Detail: "signal 9"})
		}
		return out
	}
	for name, c := range map[string]struct {
		events []Event
		level  Level
		what   string
	}{
		"recovered":       {append(crashes("a@h", 1), Event{Time: at(5), Node: "a@h", Change: Started}), Past, "a@h had crashed, and runs again since"},
		"twice":           {append(crashes("a@h", 1, 50), Event{Time: at(58), Node: "a@h", Change: Started}), Past, "a@h had crashed 2 times"},
		"again and again": {append(crashes("a@h", 1, 20, 58), Event{Time: at(59), Node: "a@h", Change: Started}), Fail, "crashes again and again: 3 times"},
		"long ago":        {append(crashes("a@h", 1, 2, 3), Event{Time: at(4), Node: "a@h", Change: Started}), Past, "had crashed 3 times"},
		"removed":         {crashes("b@h", 1), Past, "b@h had crashed, and was removed"},
		"down":            {crashes("a@h", 1), Fail, "a@h has crashed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &Report{Nodes: []NodeReport{{Node: "a@h", Reached: true}}}
			r.recall(c.events)
			r.events(c.events, time.Time{}, NewRedactor())
			require.Len(t, r.Findings, 1)
			assert.Equal(t, c.level, r.Findings[0].Level)
			assert.Contains(t, r.Findings[0].What, c.what)
			assert.NotContains(t, r.Findings[0].Fix, "dump")
			r.order()
			assert.Equal(t, c.level == Past, r.OK)
		})
	}
	t.Run("each end has its reason", func(t *testing.T) {
		t.Parallel()
		started := func(m int) Event { return Event{Time: at(m), Node: "a@h", Change: Started} }
		crash := func(m int, how, why string) Event {
			return Event{Time: at(m), Node: "a@h", Change: Left, Bad: true, Detail: how, Cause: why}
		}
		events := []Event{started(1), crash(2, "signal 9", "shot"), started(3), crash(4, "status 3: oops", "oops"), started(5), crash(6, "status 3: oops", "oops")}
		r := &Report{Nodes: []NodeReport{{Node: "a@h", Down: "crashed"}}}
		r.recall(events)
		r.events(events, time.Time{}, NewRedactor())
		require.Len(t, r.Findings, 1)
		assert.Equal(t, "a@h has crashed 3 times", r.Findings[0].What)
		assert.Regexp(t, `^[\d: -]+: signal 9\n2 times, from [\d: -]+ to [\d: -]+: status 3: oops$`, r.Findings[0].Saw)
		assert.Equal(t, "of the last: oops", r.Findings[0].Cause)

		// Stopped since, or with all others: it does not run, and not because of that.
		events = append(events[2:], started(7), started(8), Event{Time: at(9), Node: "a@h", Change: Left})
		for _, nodes := range [][]NodeReport{{{Node: "a@h", Down: "stopped"}}, {}} {
			r = &Report{Nodes: nodes}
			r.recall(events)
			r.events(events, time.Time{}, NewRedactor())
			require.Len(t, r.Findings, 1)
			assert.Equal(t, Past, r.Findings[0].Level)
			assert.Equal(t, "a@h had crashed 2 times, and was started again at "+checks.Clock(at(7)), r.Findings[0].What)
			assert.Equal(t, "oops", r.Findings[0].Cause)
			assert.NotContains(t, r.Findings[0].Saw, "oops", "it is said once")
			assert.Contains(t, r.Findings[0].Fix, "beamctl logs a")
		}
	})
	t.Run("a log", func(t *testing.T) {
		t.Parallel()
		r := &Report{}
		r.recall([]Event{{Time: at(5), Node: "a@h", Change: Started}, {Time: at(6), Node: "a@h", Change: Ready}})
		assert.Equal(t, Past, r.level(&Group{Nodes: []string{"a@h"}, Level: "error", Last: at(4)}))
		assert.Equal(t, Fail, r.level(&Group{Nodes: []string{"a@h"}, Level: "error", Last: at(7)}))
		assert.Equal(t, Fail, r.level(&Group{Nodes: []string{"a@h", "b@h"}, Level: "error", Last: at(4)}), "b may not have been started again")
		assert.Equal(t, Fail, r.level(&Group{Nodes: []string{"a@h"}, Level: "error"}), "it has no time")
	})
}
