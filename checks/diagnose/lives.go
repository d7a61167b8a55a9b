package diagnose

import (
	"time"

	"github.com/beamctl/beamctl/checks"
)

// life is one run of a node, as whoever runs the cluster has recorded it; zero times are of what has not happened.
type life struct {
	started, ready, left time.Time
	end                  Event // that tells how it ended, if it has
}

// lives are those of one node, in their order.
type lives []*life

// recall makes lives of the events.
func (r *Report) recall(events []Event) {
	r.lives = map[string]lives{}
	for _, e := range events {
		if e.Node == "" || e.Change == NoChange {
			continue
		}
		all := r.lives[e.Node]
		if e.Change == Started {
			all = append(all, &life{})
		} else if len(all) == 0 { // its beginning is in an older file
			all = append(all, &life{ready: time.Unix(0, 0)})
		}
		r.lives[e.Node] = all
		now := all[len(all)-1]
		switch e.Change {
		case Started:
			now.started = e.Time
		case Ready:
			if now.ready.IsZero() {
				now.ready = e.Time
			}
		case Left:
			if now.left.IsZero() {
				now.left = e.Time
			}
			now.end = e
		case NoChange:
		}
	}
}

// since is when the node's present life began; zero if that is not known, or if it has ended.
func (r *Report) since(node string) time.Time {
	all := r.lives[node]
	if len(all) == 0 || !all[len(all)-1].left.IsZero() {
		return time.Time{}
	}
	return all[len(all)-1].started
}

// after is when the node was first started again after a time; zero: it was not.
func (all lives) after(at time.Time) time.Time {
	for _, l := range all {
		if !l.started.Before(at) {
			return l.started
		}
	}
	return time.Time{}
}

// notice is how long others may take to notice that a node has gone, or has come: no time, unless the machine is at its limit.
const notice = 5 * time.Second

// down tells whether the node was down, or on its way up or down, at a time.
func (all lives) down(at time.Time) bool {
	for _, l := range all {
		if !l.ready.IsZero() && at.After(l.ready.Add(notice)) && (l.left.IsZero() || at.Before(l.left.Add(-notice))) {
			return false
		}
	}
	return true
}

// due tells whether what was logged about a connection was to be expected at that time: one of its ends was down, or no node of the
// cluster but a guest, who may come and go, as beamctl itself does. (Whether that is let in, the ladder tells.)
func (r *Report) due(c class, at time.Time) bool {
	for _, peer := range c.peers {
		if checks.IsGuest(peer) {
			return true
		}
		if len(r.lives) == 0 || c.kind == KindCookie {
			continue // nobody has recorded anything of it
		}
		if all, member := r.lives[peer]; !member || !at.IsZero() && all.down(at) {
			return true
		}
	}
	return false
}
