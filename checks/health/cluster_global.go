package health

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/beamctl/beamctl/dist/etf"
)

// maxNames is how many of global's names are compared: they are sent to us, and this many fill a packet or two.
const maxNames = 2000

// registered is the names that global knows on a node, and whose they are.
var registered = agree(func(ctx context.Context, x *exam) (view, error) {
	var names etf.List
	if err := x.call(ctx, &names, "global", "registered_names"); err != nil {
		return nil, err
	}
	if len(names) > maxNames {
		return nil, &tooManyNames{len(names)}
	}
	owners := make(map[string]string, len(names))
	v := view{"": owners}
	if len(names) == 0 {
		return v, nil
	}
	var pids []etf.Term
	if err := x.call(ctx, &pids, "lists", "map", etf.Export{Module: "global", Function: "whereis_name", Arity: 1}, names); err != nil {
		return nil, err
	}
	for i, p := range pids[:min(len(pids), len(names))] {
		if pid, ok := p.(etf.Pid); ok { // else it has just ended
			owners[etf.Format(names[i])] = globalPid(pid)
		}
	}
	return v, nil
})

// tooManyNames are more than one compares.
type tooManyNames struct{ n int }

func (e *tooManyNames) Error() string { return fmt.Sprintf("%d names: too many to compare", e.n) }

// globalPid tells a process apart in the whole cluster.
func globalPid(p etf.Pid) string { return localPid(p) + "@" + string(p.Node) }

func globalNames(ctx context.Context, x *exam) (Cell, error) {
	v, err := registered.first.of(ctx, x)
	if many, is := errors.AsType[*tooManyNames](err); is {
		c, _ := ok("%d", many.n)
		c.Values = map[string]float64{"names": float64(many.n)}
		return c, nil
	}
	if err != nil {
		return Cell{}, x.failed(err, "global:registered_names()", "")
	}
	c, _ := ok("%s", count(len(v[""]), "name", "names"))
	c.Values = map[string]float64{"names": float64(len(v[""]))}
	disagreements(&c, "name", registered.odds(ctx, x), "after a partition, or a restart of global, the nodes were not brought together again; two processes may have the name")
	return c, nil
}

// maxLocks is how many locks are looked at one by one.
const maxLocks = 1000

// lock is a row of global_locks (lib/kernel/src/global.erl).
type lock struct {
	Resource, Requester etf.Term
	Holders             []etf.Term // {Pid, MonitorRef}
}

func (l *lock) key() string { return etf.Format(l.Resource) + " " + etf.Format(l.Requester) }

// lasting tells whether the lock is meant to be held for long: mnesia has one for each table on disk only, while its file is open
// (mnesia_lib:dets_sync_open/2).
func (l *lock) lasting() bool {
	t, ok := l.Resource.(etf.Tuple)
	return ok && len(t) == 2 && t[0] == etf.Atom("mnesia_table_lock")
}

// holder is the process that has the lock; several may share one requester.
func (l *lock) holder() (etf.Pid, bool) {
	for _, h := range l.Holders {
		if t, ok := h.(etf.Tuple); ok && len(t) > 0 {
			if p, ok := t[0].(etf.Pid); ok {
				return p, true
			}
		}
	}
	return etf.Pid{}, false
}

var held = &fact[[]lock]{func(ctx context.Context, x *exam) ([]lock, error) {
	var size int
	if err := x.call(ctx, &size, "ets", "info", etf.Atom("global_locks"), etf.Atom("size")); err != nil || size == 0 {
		return nil, err
	}
	if size > maxLocks {
		return nil, fmt.Errorf("%d locks are held: too many to look at", size)
	}
	var rows []lock
	return rows, x.call(ctx, &rows, "ets", "tab2list", etf.Atom("global_locks"))
}}

// stuck is the locks that are still held by the same after a while. Where there are none, or they are gone at once, it takes no time.
var stuck = &fact[[]lock]{func(ctx context.Context, x *exam) ([]lock, error) {
	first, err := held.of(ctx, x)
	if err != nil {
		return nil, err
	}
	still := slices.DeleteFunc(slices.Clone(first), func(l lock) bool { return l.lasting() })
	for end := time.Now().Add(x.limits.LockHeld); len(still) > 0 && time.Now().Before(end); {
		select {
		case <-time.After(min(settle, time.Until(end))):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		now, err := held.ask(ctx, x)
		if err != nil {
			return nil, err
		}
		before := make(map[string]bool, len(still))
		for _, l := range still {
			before[l.key()] = true
		}
		still = slices.DeleteFunc(now, func(l lock) bool { return !before[l.key()] })
	}
	return still, nil
}}

func locks(ctx context.Context, x *exam) (Cell, error) {
	now, err := held.of(ctx, x)
	if err != nil {
		return Cell{}, x.failed(err, "ets:tab2list(global_locks)", "")
	}
	list, err := stuck.of(ctx, x)
	if err != nil {
		return Cell{}, x.failed(err, "ets:tab2list(global_locks)", "")
	}
	c, _ := ok("%s", count(len(now), "lock", "locks"))
	c.Values = map[string]float64{"locks": float64(len(now)), "held": float64(len(list))}
	var saw []string
	for _, l := range list {
		p, ok := l.holder()
		if !ok || !tellsOf(ctx, x, &l, p) {
			continue
		}
		who := globalPid(p)
		if string(p.Node) == x.t.Name {
			who = describe(ctx, x, []etf.Pid{p})[0]
		}
		saw = append(saw, fmt.Sprintf("%s is held by %s", etf.Format(l.Resource), who))
		c.Status = Warn
		if l.Resource == etf.Atom("global") {
			c.Status = Fail
		}
	}
	if len(saw) > 0 {
		c.Saw = strings.Join(saw, "; ")
		c.Cause = fmt.Sprintf("for %v or longer; whoever wants the lock waits", x.limits.LockHeld)
	}
	return c, nil
}

// tellsOf says whether a lock belongs into x's cell: the one of its holder's node, if that is in the run and knows of it.
func tellsOf(ctx context.Context, x *exam, l *lock, holder etf.Pid) bool {
	for _, m := range x.members {
		if string(holder.Node) == m.t.Name && m != x {
			theirs, err := stuck.of(ctx, m)
			for i := range theirs {
				if theirs[i].key() == l.key() {
					return false
				}
			}
			return err == nil
		}
	}
	return true
}
