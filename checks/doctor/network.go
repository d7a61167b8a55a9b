package doctor

import (
	"context"
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/beamctl/beamctl/checks"
)

var networkChecks = []*Check{
	{
		Name: "localhost", Group: Network, Start: true,
		What:  "what listens on 127.0.0.1 can be reached, and localhost means this machine",
		Looks: "listens on 127.0.0.1 and ::1, and connects; resolves localhost as programs do (/etc/hosts, DNS)",
		Fails: "fails when that is not possible on 127.0.0.1; warns when localhost does not resolve, or to an address that is not loopback or cannot be listened on. There need not be a ::1",
		Fix:   "have `127.0.0.1 localhost` in /etc/hosts and lo up",
		run:   checkLocalhost,
	},
	{
		Name: "hostname", Group: Network,
		What:  "the machine's own name resolves to an address of its own, which short names (erl -sname) need",
		Looks: "the host name up to the first dot, resolved, listened on and connected to",
		Fails: "warns when it does not resolve or its address is another machine's",
		Fix:   "add the name to /etc/hosts with an address of this machine",
		run:   checkHostname,
	},
}

func checkLocalhost(ctx context.Context, x *exam) {
	if err := listenOn(ctx, "127.0.0.1"); err != nil {
		x.fail(checks.Finding{
			What: "nothing that listens on 127.0.0.1 can be reached", Saw: err.Error(), Cause: "the loopback interface is down, or a sandbox forbids it",
			Fix: "bring lo up: ip link set lo up", Err: err,
		})
		return
	}
	x.see("127.0.0.1")
	if listenOn(ctx, "::1") == nil {
		x.see("::1")
	} else {
		x.see("no ::1")
	}
	addrs, err := net.DefaultResolver.LookupHost(ctx, "localhost")
	if err != nil {
		x.warn(checks.Finding{
			What: "localhost does not resolve", Saw: err.Error(), Cause: "it is in no hosts file that this machine reads",
			Fix: "add the line `127.0.0.1 localhost` to /etc/hosts", Err: err,
		})
		return
	}
	x.see("localhost is %s", strings.Join(addrs, ", "))
	for _, a := range addrs {
		ip, err := netip.ParseAddr(a)
		if err != nil || !ip.IsLoopback() {
			x.warn(checks.Finding{
				What: "localhost is not this machine", Saw: "it resolves to " + a, Cause: "what connects to localhost goes elsewhere",
				Fix: "correct localhost in /etc/hosts: 127.0.0.1",
			})
		} else if err := listenOn(ctx, a); err != nil {
			x.warn(checks.Finding{
				What: "localhost has an address that cannot be listened on", Saw: err.Error(),
				Cause: "programs that take this one of its addresses fail", Fix: "remove it from localhost in /etc/hosts, or turn IPv6 on", Err: err,
			})
		}
	}
}

func checkHostname(ctx context.Context, x *exam) {
	full, err := os.Hostname()
	if err != nil {
		x.warn(checks.Finding{What: "the machine has no name", Saw: err.Error(), Fix: "set one: hostname NAME", Err: err})
		return
	}
	name, _, _ := strings.Cut(full, ".")
	addrs, err := net.DefaultResolver.LookupHost(ctx, name)
	if err != nil {
		x.warn(checks.Finding{
			What: "the machine's own name does not resolve", Saw: err.Error(),
			Cause: "nodes with short names (erl -sname a) cannot find each other: a@" + name + " leads nowhere",
			Fix:   "add the line `127.0.1.1 " + name + "` to /etc/hosts", Err: err,
		})
		return
	}
	x.see("%s is %s", name, strings.Join(addrs, ", "))
	if err := listenOn(ctx, addrs[0]); err != nil {
		x.warn(checks.Finding{
			What: "the machine's own name is another machine's", Saw: err.Error(),
			Cause: "nodes with short names (erl -sname a) are looked for there", Fix: "correct " + name + " in /etc/hosts", Err: err,
		})
	}
}

// listenOn tries whether an address can be listened on, and what listens there be reached: with the loopback interface
// down only the latter fails.
func listenOn(ctx context.Context, addr string) error {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", net.JoinHostPort(addr, "0"))
	if err != nil {
		return err
	}
	defer l.Close() //nolint:errcheck // nobody was accepted
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", l.Addr().String())
	if err != nil {
		return err
	}
	return conn.Close()
}
