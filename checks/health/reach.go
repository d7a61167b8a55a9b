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
		Fails: "the node cannot be reached, or its net_kernel doesn't answer", Fix: "what failed on the way is named; beamctl diagnose shows every step",
		run: ping,
	},
	{
		Name: "rpc", Group: Reach,
		What: "a call is run and answered; the OTP release", Asks: "erlang:system_info/1",
		Fails: "calls are not run: erpc or the scheduler is not well", Fix: "look at the node's log and run queue",
		run: rpc,
	},
	{
		Name: "cookie", Group: Reach,
		What: "the node accepts the cluster's cookie, in a handshake made for this check", Asks: "a handshake",
		Fails: "the node has another cookie", Fix: "give the right one (--cookie-file), or look who called erlang:set_cookie/1,2",
		run: cookie,
	},
}

// connectRung says which check a failed handshake belongs to: it is where a cookie shows; everything before it is reachability.
func connectRung(err error) string {
	if errors.Is(err, node.ErrWrongCookie) || errors.Is(err, dist.ErrNoCookie) {
		return "cookie"
	}
	return "ping"
}

func cookie(ctx context.Context, x *exam) (Cell, error) {
	if _, err := connected.of(ctx, x); err != nil {
		return Cell{}, checks.Unreachable(x.t, err)
	}
	return ok("accepted")
}

// pings is how many pings the ping check sends: enough for a median that one hiccup does not change, over in a millisecond.
const pings = 5

// pinged is the sorted round-trip times.
var pinged = &fact[[]time.Duration]{func(ctx context.Context, x *exam) ([]time.Duration, error) {
	if _, err := connected.of(ctx, x); err != nil {
		return nil, err
	}
	times := make([]time.Duration, 0, pings)
	for range pings {
		start := time.Now()
		if err := x.n.Ping(ctx, x.t.Name); err != nil {
			return nil, err
		}
		times = append(times, time.Since(start))
	}
	slices.Sort(times)
	return times, nil
}}

func ping(ctx context.Context, x *exam) (Cell, error) {
	times, err := pinged.of(ctx, x)
	if err != nil {
		return Cell{}, checks.Unreachable(x.t, err)
	}
	c, _ := ok("%.2f ms", millis(times[pings/2]))
	c.Values = map[string]float64{"min_ms": millis(times[0]), "median_ms": millis(times[pings/2]), "max_ms": millis(times[pings-1])}
	if m := times[pings/2]; m > x.limits.Latency {
		c.Status, c.Cause = Warn, "over "+x.limits.Latency.String()+": the node or the network is overloaded, or far away"
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
