package health

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/beamctl/beamctl/checks"
	"github.com/beamctl/beamctl/dist"
	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node"
)

var reachChecks = []*Check{
	{
		Name: "ping", Group: Reach,
		What: "net_kernel answers; the median round trip", Asks: "a gen call {is_auth, Node} to net_kernel, as net_adm:ping/1",
		Fails: "the node cannot be reached, or its net_kernel doesn't answer; warns when the median is over the limit `latency`",
		Fix:   "what failed on the way is named; beamctl diagnose shows every step",
		run:   ping,
	},
	{
		Name: "rpc", Group: Reach,
		What: "a call is run and answered; the OTP release", Asks: "erlang:system_info/1",
		Fails: "calls are not run: erpc or the scheduler is not well", Fix: "look at the node's log and run queue",
		run: rpc,
	},
	{
		Name: "cookie", Group: Reach,
		What:  "the node accepts the cluster's cookie, in a handshake made for this check; each pair of nodes has the same for each other",
		Asks:  "a handshake; auth:get_cookie/1, of which the node returns a salted digest (erl_eval:expr/3, erlang:md5/1)",
		Fails: "the node has another cookie, or would use another one for a node of the cluster: they cannot connect (again)",
		Fix:   "give the right one (--cookie-file), or look who called erlang:set_cookie/1,2",
		run:   cookie,
	},
	{
		Name: "flags", Group: Reach,
		What: "what the node is capable of, as it said in our handshake", Asks: "a handshake",
		Fails: "a newer node would refuse it, because of flags that OTP 26 made mandatory; warns when nodes differ",
		Fix:   "run the same OTP release on all nodes, or two that are at most two apart",
		run:   flags,
	},
	{
		Name: "ticks", Group: Reach,
		What: "how long a silent connection is believed", Asks: "net_kernel:get_net_ticktime/0",
		Fails: "warns when the nodes' net_ticktime differs, is being changed, or is far from usual: one side then drops a connection that the other believes in",
		Fix:   "give all nodes the same `-kernel net_ticktime` (default 60), or call net_kernel:set_net_ticktime/1",
		run:   ticks,
	},
}

// connectRung says which check a failed handshake belongs to: it is where a cookie shows; everything before it is reachability.
func connectRung(err error) string {
	if errors.Is(err, node.ErrWrongCookie) || errors.Is(err, dist.ErrNoCookie) {
		return "cookie"
	}
	return "ping"
}

// How many pings there are: enough for a median that one hiccup does not change; up to enough for a 99th percentile, as long as
// they take less than pingTime together, and all nodes do not get more than allPings.
const (
	minPings = 5
	maxPings = 100
	allPings = 500
	pingTime = 10 * time.Millisecond
)

// pinged is the sorted round-trip times.
var pinged = &fact[[]time.Duration]{func(ctx context.Context, x *exam) ([]time.Duration, error) {
	defer x.calm.leave()
	if _, err := connected.of(ctx, x); err != nil {
		return nil, err
	}
	most := max(minPings, min(maxPings, allPings/len(x.members)))
	var times []time.Duration
	for began := time.Now(); len(times) < minPings || len(times) < most && time.Since(began) < pingTime; {
		start := time.Now()
		if err := x.n.Ping(ctx, x.t.Name); err != nil {
			return nil, err
		}
		times = append(times, time.Since(start))
	}
	slices.Sort(times)
	return times, nil
}}

// still is another ping, asked where another node does not see this one: it may have gone since the first ones, or while it shook hands with us,
// which looks like a refusal.
var still = &fact[struct{}]{func(ctx context.Context, x *exam) (none struct{}, err error) {
	_, err = pinged.of(ctx, x)
	answered := err == nil
	if !answered && !refuses(err) {
		return none, err
	}
	if err = x.ended(); err != nil {
		return none, err
	}
	if err = x.n.Ping(ctx, x.t.Name); answered {
		x.loses(err)
	}
	return none, err
}}

// refuses tells whether an error says that the node does not speak with us, as one does that lives.
func refuses(err error) bool {
	for _, refusal := range []error{node.ErrWrongCookie, dist.ErrNoCookie, dist.ErrNotAllowed, dist.ErrWrongName, node.ErrTLS} {
		if errors.Is(err, refusal) {
			return true
		}
	}
	return false
}

// lastPing is how long a node has to show that it lives when something that it was asked has taken too long.
const lastPing = 500 * time.Millisecond

// breath is a ping with a deadline of its own: what hangs is a process of the node, and not the node.
var breath = &fact[struct{}]{func(ctx context.Context, x *exam) (none struct{}, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastPing)
	defer cancel()
	if err = x.n.Ping(ctx, x.t.Name); err != nil {
		x.lose(err)
	}
	return none, err
}}

func ping(ctx context.Context, x *exam) (Cell, error) {
	times, err := pinged.of(ctx, x)
	if err != nil {
		return Cell{}, checks.Unreachable(x.t, err)
	}
	quantile := func(per100 int) float64 { return millis(times[(len(times)-1)*per100/100]) }
	c, _ := ok("%.2f ms", quantile(50))
	c.Values = map[string]float64{"min_ms": quantile(0), "median_ms": quantile(50), "p99_ms": quantile(99), "pings": float64(len(times))}
	if times[(len(times)-1)/2] > x.limits.Latency {
		c.Status, c.Cause = Warn, "over "+x.limits.Latency.String()+": the node or the network is overloaded, or far away"
		c.Fix = "look at the run queue and the links; raise the limit `latency` if this is how far away it is"
	}
	return c, nil
}

var release = result[string]("erlang", "system_info", etf.Atom("otp_release"))

func rpc(ctx context.Context, x *exam) (Cell, error) {
	r, err := release.of(ctx, x)
	if err != nil {
		return Cell{}, x.failed(err, "erlang:system_info(otp_release)",
			"the node is connected and cannot run calls: its erpc module or its scheduler is not well")
	}
	return ok("OTP %s", r)
}
