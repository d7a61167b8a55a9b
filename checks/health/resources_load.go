package health

import (
	"context"
	"fmt"

	"github.com/beamctl/beamctl/dist/etf"
)

// sampleMillis is how long the schedulers are watched: long enough that a call or a garbage collection does not fill it, short enough
// for a run that has 150 ms.
const sampleMillis = 50

// load is what a node did while it was watched.
type load struct {
	Online        int64
	Before, After sample
}

type sample struct {
	Queue      []int64 // of each run queue
	WallTime   []struct{ ID, Active, Total int64 }
	Reductions [2]int64 // in all, since somebody's last look
	GCs        [3]int64 // collections, words, 0
}

// watched takes one process: what scheduler_wall_time was set for ends with it.
var watched = &fact[load]{func(ctx context.Context, x *exam) (load, error) {
	stats := func(what etf.Atom) etf.Tuple { return apply("erlang", "statistics", value(what)) }
	look := tuple(stats("run_queue_lengths"), stats("scheduler_wall_time"), stats("reductions"), stats("garbage_collection"))
	var l load
	err := x.eval(ctx, &l, block(
		apply("erlang", "system_flag", value(etf.Atom("scheduler_wall_time")), value(etf.Atom("true"))),
		set(1, look), sleep(sampleMillis), set(2, look),
		tuple(apply("erlang", "system_info", value(etf.Atom("schedulers_online"))), variable(1), variable(2)),
	))
	return l, err
}}

func schedulers(ctx context.Context, x *exam) (Cell, error) {
	l, err := watched.of(ctx, x)
	if err != nil {
		return Cell{}, x.failed(err, "erlang:statistics(scheduler_wall_time)", "")
	}
	before := make(map[int64][2]int64, len(l.Before.WallTime))
	for _, s := range l.Before.WallTime {
		before[s.ID] = [2]int64{s.Active, s.Total}
	}
	// The first numbers are those of normal schedulers, and of these the first are online.
	var active, total int64
	for _, s := range l.After.WallTime {
		if s.ID <= l.Online {
			active, total = active+s.Active-before[s.ID][0], total+s.Total-before[s.ID][1]
		}
	}
	if total <= 0 {
		return Cell{}, fmt.Errorf("erlang:statistics(scheduler_wall_time) did not change in %d ms", sampleMillis)
	}
	const perSecond = 1000.0 / sampleMillis
	use := float64(active) / float64(total)
	c, _ := ok("%.0f %%", 100*use)
	c.Values = map[string]float64{
		"use_ratio": use, "schedulers": float64(l.Online),
		"reductions_per_second": perSecond * float64(l.After.Reductions[0]-l.Before.Reductions[0]),
		"gcs_per_second":        perSecond * float64(l.After.GCs[0]-l.Before.GCs[0]),
	}
	if use > x.limits.Schedulers {
		c.Status = Warn
		c.Saw = fmt.Sprintf("%.0f %% of %s", 100*use, count(int(l.Online), "scheduler", "schedulers"))
		c.Cause = fmt.Sprintf("over %.0f %%: there is more work than the node can do", 100*x.limits.Schedulers)
	}
	return c, nil
}

func runqueue(ctx context.Context, x *exam) (Cell, error) {
	l, err := watched.of(ctx, x)
	if err != nil {
		return Cell{}, x.failed(err, "erlang:statistics(run_queue_lengths)", "")
	}
	sum := func(queues []int64) (n int64) {
		for _, q := range queues {
			n += q
		}
		return n
	}
	// A burst is gone at the second look.
	n := min(sum(l.Before.Queue), sum(l.After.Queue))
	each := float64(n) / float64(max(l.Online, 1))
	c, _ := ok("%d waiting", n)
	c.Values = map[string]float64{"waiting": float64(n), "per_scheduler": each}
	if each > x.limits.RunQueue {
		c.Status = Warn
		c.Saw = fmt.Sprintf("%d processes wait for %s", n, count(int(l.Online), "scheduler", "schedulers"))
		c.Cause = fmt.Sprintf("over %g for each: there is more work than the node can do, or others take its CPUs", x.limits.RunQueue)
	}
	return c, nil
}
