package health

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"github.com/beamctl/beamctl/checks"
	"github.com/beamctl/beamctl/dist"
	"github.com/beamctl/beamctl/dist/etf"
)

// salt makes digests worthless elsewhere and later.
var salt = &fact[[]byte]{func(context.Context, *exam) ([]byte, error) {
	b := make([]byte, 16)
	_, err := rand.Read(b)
	return b, err
}}

// cookies is the digests of the cookies that a node uses for the members, in their order: as in a handshake, none crosses the wire.
var cookies = &fact[[][]byte]{func(ctx context.Context, x *exam) ([][]byte, error) {
	s, err := salt.of(ctx, x.members[0]) // the same for all
	if err != nil {
		return nil, err
	}
	var salted, digests []etf.Tuple
	for _, b := range s {
		salted = append(salted, value(int(b)))
	}
	const theSalt = 0
	for _, m := range x.members {
		cookie := apply("erlang", "atom_to_binary", apply("auth", "get_cookie", value(etf.Atom(m.t.Name))), value(etf.Atom("utf8")))
		digests = append(digests, apply("erlang", "md5", list(variable(theSalt), cookie)))
	}
	var got [][]byte
	err = x.eval(ctx, &got, block(set(theSalt, list(salted...)), list(digests...)))
	if err == nil && len(got) != len(digests) {
		err = fmt.Errorf("%d digests of %d cookies", len(got), len(digests))
	}
	return got, err
}}

func cookie(ctx context.Context, x *exam) (Cell, error) {
	if _, err := connected.of(ctx, x); err != nil {
		return Cell{}, checks.Unreachable(x.t, err)
	}
	if len(x.members) == 1 || x.t.Alone {
		return ok("accepted")
	}
	if _, err := cookies.of(ctx, x); err != nil {
		return Cell{}, x.failed(err, "auth:get_cookie/1", "the process auth of its kernel does not answer as it should")
	}
	// A pair that has one cookie for each other is well. Where it has two, the one that is not the node's own was set for this pair.
	all := cookies.everywhere(ctx, x)
	at := func(of, towards int) string { return string(all[of].v[towards]) }
	var odd []string
	var self int
	for i, m := range x.members {
		if m == x {
			self = i
		}
	}
	for i, s := range all {
		if i == self || s.err != nil || at(self, i) == at(i, self) {
			continue
		}
		if at(self, i) != at(self, self) || at(i, self) == at(i, i) {
			odd = append(odd, s.x.t.Name)
		}
	}
	if len(odd) > 0 {
		return Cell{}, &checks.Finding{
			Saw:   "has another cookie for " + strings.Join(odd, ", ") + " than that has for it",
			Cause: "its own cookie is another, or erlang:set_cookie/2 was called on it: connections that are up stay, none can be made",
		}
	}
	return ok("accepted; %s", count(len(all)-1, "pair agrees", "pairs agree"))
}

// seen is the flags of the handshake.
var seen = &fact[dist.Flags]{func(ctx context.Context, x *exam) (dist.Flags, error) {
	if _, err := connected.of(ctx, x); err != nil {
		return 0, err
	}
	id, _ := x.n.Seen(x.t.Name)
	return id.Flags, nil
}}

// capabilities are the flags that say what a node can do; whether it is hidden is no capability, and the others depend on which
// side dials.
const capabilities = dist.Hidden | dist.FlagSpawn | dist.FlagAlias | dist.FlagAltactSig

func flags(ctx context.Context, x *exam) (Cell, error) {
	mine, err := seen.of(ctx, x)
	if err != nil {
		return Cell{}, checks.Unreachable(x.t, err)
	}
	r, err := release.of(ctx, x)
	if err != nil {
		return Cell{}, x.failed(err, "erlang:system_info(otp_release)", "")
	}
	var best dist.Flags
	var refusing []string
	releases := release.everywhere(ctx, x)
	for i, s := range seen.everywhere(ctx, x) {
		best |= s.v & capabilities
		if rel := releases[i]; s.err == nil && rel.err == nil && otp(rel.v) >= 26 && !mine.Has(dist.Mandatory26) && s.x != x {
			refusing = append(refusing, s.x.t.Name+" (OTP "+rel.v+")")
		}
	}
	lacks := best &^ mine
	if len(refusing) > 0 {
		return Cell{}, &checks.Finding{
			Saw:   fmt.Sprintf("OTP %s lacks %s", r, dist.Mandatory26&^mine),
			Cause: "refused by " + strings.Join(refusing, ", ") + ", for whom that is mandatory",
		}
	}
	if lacks != 0 {
		c, _ := ok("OTP %s lacks %s", r, lacks)
		c.Status, c.Cause = Warn, "other nodes have it, so the cluster is of several OTP releases; what not both sides can is not used between them"
		return c, nil
	}
	return ok("all that the others have")
}

// otp is the number of a release; 0: none.
func otp(release string) int {
	var n int
	_, _ = fmt.Sscanf(release, "%d", &n)
	return n
}

// What net_ticktime is unusual: below, a node that collects garbage is taken for dead; above, a dead one is believed for long.
const (
	shortTick = 8 * time.Second
	longTick  = 10 * time.Minute
)

// tick is a net_ticktime.
type tick struct {
	seconds  int64
	changing bool
}

// ticktime is net_kernel:get_net_ticktime/0: seconds, or {ongoing_change_to, Seconds}.
var ticktime = &fact[tick]{func(ctx context.Context, x *exam) (tick, error) {
	var t etf.Term
	if err := x.call(ctx, &t, "net_kernel", "get_net_ticktime"); err != nil {
		return tick{}, err
	}
	if change, ok := t.(etf.Tuple); ok && len(change) == 2 {
		s, _ := change[1].(int64)
		return tick{s, true}, nil
	}
	if s, ok := t.(int64); ok {
		return tick{s, false}, nil
	}
	return tick{}, fmt.Errorf("net_kernel:get_net_ticktime() is %s", etf.Format(t))
}}

func ticks(ctx context.Context, x *exam) (Cell, error) {
	t, err := ticktime.of(ctx, x)
	if err != nil {
		return Cell{}, x.failed(err, "net_kernel:get_net_ticktime()", "net_kernel is not well")
	}
	c, _ := ok("%d s", t.seconds)
	c.Values = map[string]float64{"ticktime_seconds": float64(t.seconds)}
	usual := usual(ticktime.everywhere(ctx, x))
	switch d := time.Duration(t.seconds) * time.Second; {
	case t.changing:
		c.Status, c.Saw = Warn, fmt.Sprintf("changing to %d s", t.seconds)
		c.Cause = "somebody called net_kernel:set_net_ticktime; until all nodes have the new one connections may be ended"
	case usual.seconds != t.seconds:
		c.Status, c.Cause = Warn, fmt.Sprintf("other nodes have %d s: who has less ends connections that the other side believes in", usual.seconds)
	case d < shortTick:
		c.Status, c.Cause = Warn, "so little that a node under load is taken for dead"
	case d > longTick:
		c.Status, c.Cause = Warn, "so much that a dead node is believed in for minutes"
	}
	return c, nil
}
