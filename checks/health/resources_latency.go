package health

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node"
)

const (
	// roundTrips are made to each node, of which the fastest counts: the others meet whatever else the machines do.
	roundTrips = 3
	// latencyPatience is how long, in milliseconds, a node waits for another one; nothing between two machines takes that long.
	latencyPatience = 250
	// lastPatience is how long it waits at least for one that has not answered, before that is said of it: on a machine at its limit a
	// process may not run for longer than latencyPatience. It is half of the time that is left, if that is more.
	lastPatience = 1000
	// latencyChunk is how many others one call asks, one after another: should none of them answer it still ends in DefaultPerNode.
	latencyChunk = 8
	// allWays is up to how many nodes each asks all others. In a larger cluster each asks the half that follows it, so that one end of
	// each pair does: a round trip goes both ways, and a pair costs half a millisecond of CPU.
	allWays = 10
)

// trip is how another node answers this one.
type trip struct {
	to   *exam
	best time.Duration // 0: it does not
	late bool          // that is not known: the time of the whole run was up before
}

// trips go to those of the others that x's node sees: a connection is never made for it.
var trips = &fact[[]trip]{func(ctx context.Context, x *exam) ([]trip, error) {
	seen, err := visible.of(ctx, x)
	if err != nil {
		return nil, err
	}
	var out []trip
	for _, o := range x.toTime() {
		if slices.Contains(seen, etf.Atom(o.t.Name)) {
			out = append(out, trip{to: o})
		}
	}
	if err := x.times(ctx, slices.Chunk(out, latencyChunk), latencyPatience); err != nil {
		return nil, err
	}
	patience := lastPatience
	if end, bounded := ctx.Deadline(); bounded {
		patience = max(patience, int(time.Until(end).Milliseconds()/2))
	}
	err = x.times(ctx, func(yield func([]trip) bool) {
		for i := range out {
			if out[i].best == 0 && !out[i].late && !yield(out[i:i+1]) {
				return
			}
		}
	}, patience)
	return out, err
}}

// times asks for all chunks at once.
func (x *exam) times(ctx context.Context, chunks iter.Seq[[]trip], patience int) error {
	var wg sync.WaitGroup
	var mu sync.Mutex
	var err error
	for chunk := range chunks {
		wg.Go(func() {
			if e := x.time(ctx, chunk, patience); e != nil {
				mu.Lock()
				defer mu.Unlock()
				err = e
			}
		})
	}
	wg.Wait()
	return err
}

// toTime is the others that x asks.
func (x *exam) toTime() []*exam {
	others := x.others()
	if len(others) < allWays {
		return others
	}
	at := slices.IndexFunc(others, func(o *exam) bool { return slices.Index(x.members, o) > slices.Index(x.members, x) })
	ring := slices.Concat(others[max(at, 0):], others[:max(at, 0)])
	return ring[:(len(ring)+1)/2]
}

// time has the node time its round trips to the others of the chunk.
func (x *exam) time(ctx context.Context, chunk []trip, patience int) error {
	now := apply("erlang", "monotonic_time", value(etf.Atom("nanosecond")))
	forms := make([]etf.Tuple, len(chunk))
	for i, t := range chunk {
		ask := apply("gen_server", "call", value(etf.Tuple{etf.Atom("net_kernel"), etf.Atom(t.to.t.Name)}),
			value(etf.Tuple{etf.Atom("is_auth"), etf.Atom(x.t.Name)}), value(patience))
		steps := []etf.Tuple{now}
		for range roundTrips {
			steps = append(steps, ask, now)
		}
		forms[i] = try(list(steps...))
	}
	var answers []etf.Term
	if err := x.eval(ctx, &answers, list(forms...)); errors.Is(err, node.ErrTimeout) {
		for i := range chunk {
			chunk[i].late = true
		}
		return nil
	} else if err != nil {
		return err
	}
	for i, a := range answers[:min(len(answers), len(chunk))] {
		steps, _ := a.(etf.List) // else {'EXIT', {timeout, _}}
		for j := 2; j < len(steps); j += 2 {
			start, _ := steps[j-2].(int64)
			end, _ := steps[j].(int64)
			if d := time.Duration(end - start); chunk[i].best == 0 || d < chunk[i].best {
				chunk[i].best = max(d, 1)
			}
		}
	}
	return nil
}

func latency(ctx context.Context, x *exam) (Cell, error) {
	list, err := trips.of(ctx, x)
	if err != nil {
		return Cell{}, x.failed(err, "a gen_server:call to another node's net_kernel", "")
	}
	if len(list) == 0 {
		return none("no other node is connected")
	}
	var mute, slow []string
	var times []time.Duration
	rtt := map[string]float64{}
	c := Cell{Status: OK, Peers: map[string]map[string]float64{"rtt_ms": rtt}}
	for _, t := range list {
		switch {
		case t.best > 0:
			times = append(times, t.best)
			rtt[t.to.t.Name] = millis(t.best)
			if t.best > x.limits.Latency {
				slow = append(slow, fmt.Sprintf("%.0f ms to %s", millis(t.best), t.to.t.Name))
			}
		case !t.late && answers(ctx, t.to) && sees(ctx, t.to, x):
			mute = append(mute, t.to.t.Name)
		}
	}
	if len(mute) > 0 {
		c.Status, c.Saw = Fail, strings.Join(mute, ", ")+" does not answer this node"
		c.Cause = "they are connected, and the other one answers beamctl: packets between the two are lost, or the connection is full"
		return c, nil
	}
	if len(times) == 0 {
		return none("no connected node answers")
	}
	slices.Sort(times)
	median, worst := times[len(times)/2], times[len(times)-1]
	c.Saw = fmt.Sprintf("%.2f ms", millis(worst))
	c.Values = map[string]float64{"median_ms": millis(median), "max_ms": millis(worst)}
	if len(slow) > 0 {
		c.Status, c.Saw = Warn, listed(slow)
		c.Cause = "over " + x.limits.Latency.String() + ": the network between them, or one of the two, is overloaded"
	}
	return c, nil
}

// answers says whether x's node answers a ping: one that doesn't has a check of its own for it.
func answers(ctx context.Context, x *exam) bool {
	_, err := still.of(ctx, x)
	return err == nil
}

// sees says whether x's node lists y's in nodes(visible).
func sees(ctx context.Context, x, y *exam) bool {
	seen, err := visible.of(ctx, x)
	return err == nil && slices.Contains(seen, etf.Atom(y.t.Name))
}
