package diagnose

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/beamctl/beamctl/checks"
	"github.com/beamctl/beamctl/dist"
	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/epmd"
	"github.com/beamctl/beamctl/node"
)

// RungStatus is what became of one step on the way to a node.
type RungStatus string

// The statuses of a rung.
const (
	RungOK        RungStatus = "ok"
	RungFail      RungStatus = "fail"
	RungSkipped   RungStatus = "skipped"   // there is no need for it: the address was given
	RungUnreached RungStatus = "unreached" // an earlier one failed
)

// Rung is one step on the way to a node.
type Rung struct {
	Name   string     `json:"rung"`
	Status RungStatus `json:"status"`
	Saw    string     `json:"saw"`
	Millis float64    `json:"ms"`
}

// rungs are the steps in their order, each of which needs the ones before it.
var rungs = []struct {
	name  string
	climb func(c *climber, ctx context.Context) (saw string, err error)
}{
	{"resolve", (*climber).resolve},
	{"epmd", (*climber).epmd},
	{"name", (*climber).registered},
	{"tcp", (*climber).tcp},
	{"handshake", (*climber).handshake},
	{"cookie", (*climber).cookie},
	{"flags", (*climber).flags},
	{"net_kernel", (*climber).netKernel},
	{"apps", (*climber).apps},
}

// skipError is the error of a rung that there is no need for, or that says nothing since another one has failed; its
// text is why.
type skipError struct {
	status RungStatus
	why    string
}

func (e *skipError) Error() string { return e.why }

// climber is on the way to one node.
type climber struct {
	n    *node.Node
	t    checks.Target
	step time.Duration // what a rung may take

	addrs []string // what the host resolves to
	epmds string   // host:port of the EPMD
	names []string // that it knows
	addr  string   // host:port of the distribution listener
	rec   *recorder
	peer  dist.Identity // who answered the handshake
	err   error         // of the handshake
}

// climb goes up the ladder to t until a rung fails; the finding says why that one did, and is nil if none did. Each
// rung may take step.
func climb(ctx context.Context, n *node.Node, t checks.Target, step time.Duration) ([]Rung, *checks.Finding) {
	c := &climber{n: n, t: t, step: step}
	out := make([]Rung, 0, len(rungs))
	var finding *checks.Finding
	for _, r := range rungs {
		if finding != nil {
			out = append(out, Rung{Name: r.name, Status: RungUnreached})
			continue
		}
		start := time.Now()
		rung := Rung{Name: r.name, Status: RungOK}
		var err error
		func() {
			ctx, cancel := context.WithTimeout(ctx, step)
			defer cancel()
			rung.Saw, err = r.climb(c, ctx)
		}()
		rung.Millis = float64(time.Since(start).Microseconds()) / 1000
		if skip, ok := errors.AsType[*skipError](err); ok {
			rung.Status, rung.Saw = skip.status, skip.why
		} else if err != nil {
			finding = c.explain(ctx, r.name, err)
			rung.Status, rung.Saw = RungFail, finding.Saw
		}
		out = append(out, rung)
	}
	return out, finding
}

func (c *climber) host() string { return dist.Host(c.t.Name) }

func (c *climber) alive() string {
	alive, _, _ := strings.Cut(c.t.Name, "@")
	return alive
}

// resolve looks up the host to be dialled.
func (c *climber) resolve(ctx context.Context) (string, error) {
	host := c.host()
	at, port, err := net.SplitHostPort(c.t.Addr)
	if _, perr := strconv.ParseUint(port, 10, 16); err == nil && perr != nil {
		err = fmt.Errorf("%q is no port", port)
	}
	switch {
	case c.t.Addr == "":
	case err != nil:
		return "", &checks.Finding{
			What: fmt.Sprintf("%q is no address of %s", c.t.Addr, c.t.Name), Saw: err.Error(),
			Cause: "an address has a host and a port", Fix: "say " + c.t.Name + "=10.0.0.5:25672, for example", Err: node.ErrUnresolved,
		}
	default:
		host, c.addr = at, c.t.Addr
	}
	if net.ParseIP(host) != nil {
		c.addrs = []string{host}
		return host + " is an address", nil
	}
	addrs, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		return "", &checks.Finding{
			What: c.t.Name + " cannot be reached: its host does not resolve", Saw: err.Error(),
			Cause: fmt.Sprintf("%q is in no DNS or hosts file that this machine reads", host),
			Fix:   "check the name, or give the address: name@host=address:port", Err: node.ErrUnresolved,
		}
	}
	c.addrs = addrs
	return host + " is " + strings.Join(addrs, ", "), nil
}

// maxNamesShown is how many of the names that an EPMD knows are listed: a line's worth.
const maxNamesShown = 12

// epmd asks the EPMD of the host for all that it knows.
func (c *climber) epmd(ctx context.Context) (string, error) {
	if c.addr != "" {
		return "", &skipError{RungSkipped, "not asked: the address is given"}
	}
	if c.epmds = c.t.EPMD; c.epmds == "" {
		c.epmds = node.EPMDAddr(c.host())
	}
	known, err := (&epmd.Client{Addr: c.epmds}).Names(ctx)
	if err != nil {
		return "", fmt.Errorf("%w: %w", node.ErrNoEPMD, err)
	}
	for _, k := range known {
		c.names = append(c.names, k.Name)
	}
	return fmt.Sprintf("the EPMD at %s knows %s", c.epmds, c.known()), nil
}

// known lists what the EPMD knows, for people.
func (c *climber) known() string {
	switch n := len(c.names); {
	case n == 0:
		return "no name"
	case n > maxNamesShown:
		return fmt.Sprintf("%s and %d more", strings.Join(c.names[:maxNamesShown], ", "), n-maxNamesShown)
	}
	return strings.Join(c.names, ", ")
}

// registered asks for the port behind the name.
func (c *climber) registered(ctx context.Context) (string, error) {
	if c.addr != "" {
		return "", &skipError{RungSkipped, "not asked: the address is given"}
	}
	reg, err := (&epmd.Client{Addr: c.epmds}).Lookup(ctx, c.alive())
	switch {
	case errors.Is(err, epmd.ErrNotRegistered):
		return "", &node.NameError{EPMD: c.epmds, Alive: c.alive(), Known: append([]string{}, c.names...)}
	case err != nil:
		return "", fmt.Errorf("%w: %w", node.ErrNoEPMD, err)
	}
	c.addr = net.JoinHostPort(c.host(), strconv.Itoa(int(reg.Port)))
	return fmt.Sprintf("%s is registered, with port %d", c.alive(), reg.Port), nil
}

// tcp connects to the distribution listener. The connection is the handshake's.
func (c *climber) tcp(ctx context.Context) (string, error) {
	start := time.Now()
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", c.addr)
	if err != nil {
		return "", err
	}
	took := time.Since(start)
	c.rec = record(nc)
	return fmt.Sprintf("%s accepts, in %.1f ms", nc.RemoteAddr(), float64(took.Microseconds())/1000), nil
}

// flagsOffered are what package node offers on a connection that it makes.
const flagsOffered = dist.Hidden | dist.FlagSpawn | dist.FlagAlias

// handshake goes as far as the node's challenge, which has its name in it; the two rungs after it tell what came of the
// rest.
func (c *climber) handshake(ctx context.Context) (string, error) {
	if c.t.Cookie.IsZero() {
		_ = c.rec.Close()
		c.err = dist.ErrNoCookie
		return "", &skipError{RungUnreached, "there is no cookie to begin it with"}
	}
	var nc net.Conn = c.rec
	if c.t.TLS != nil {
		cfg := c.t.TLS.Clone()
		if cfg.ServerName == "" {
			cfg.ServerName = c.host()
		}
		secure := tls.Client(nc, cfg)
		if err := secure.HandshakeContext(ctx); err != nil {
			_ = nc.Close()
			c.err = fmt.Errorf("%w: %w", node.ErrTLS, err)
			return "", c.err
		}
		nc = secure
	}
	conn, err := dist.Dial(ctx, nc, dist.Config{
		Local: dist.Identity{Name: c.host(), Flags: flagsOffered}, // a name without @ asks for a dynamic one
		Peer:  c.t.Name, Cookie: c.t.Cookie, Receiver: deaf{}, TLS: c.t.TLS != nil,
	})
	if err == nil {
		c.peer = conn.Peer()
		_ = conn.Close()
	}
	if c.err = err; err != nil && !errors.Is(err, dist.ErrWrongCookie) && !errors.Is(err, dist.ErrMissingFlags) {
		return "", err
	}
	return "status ok; " + c.t.Name + " answers by that name", nil
}

// deaf takes what a node sends before we hang up, and does nothing with it.
type deaf struct{}

func (deaf) Receive(*dist.Conn, *dist.Control, []byte) error { return nil }
func (deaf) Closed(*dist.Conn, error)                        {}

func (c *climber) cookie(context.Context) (string, error) {
	switch {
	case errors.Is(c.err, dist.ErrMissingFlags):
		return "", &skipError{RungUnreached, "the flags came first"}
	case c.err != nil:
		return "", c.err
	}
	return "both sides have proven it", nil
}

func (c *climber) flags(context.Context) (string, error) {
	if c.err != nil {
		return "", c.err
	}
	if !c.peer.Flags.Has(dist.FlagSpawn) {
		return "", fmt.Errorf("%w: SPAWN (it has %s)", dist.ErrMissingFlags, c.peer.Flags)
	}
	if lacks := dist.Mandatory26 &^ c.peer.Flags; lacks != 0 {
		return fmt.Sprintf("all that beamctl needs; not %s, without which OTP 26 and later refuse it", lacks), nil
	}
	return "all that is needed", nil
}

// netKernel makes a connection as package node does, and pings.
func (c *climber) netKernel(ctx context.Context) (string, error) {
	p := c.t.Peer()
	p.Addr = c.addr // what the rungs before have found
	if err := c.n.AddPeer(p); err != nil {
		return "", err
	}
	c.n.Disconnect(c.t.Name) //nolint:contextcheck // it has a deadline of its own
	if err := c.n.Connect(ctx, c.t.Name); err != nil {
		return "", err
	}
	start := time.Now()
	if err := c.n.Ping(ctx, c.t.Name); err != nil {
		return "", err
	}
	return fmt.Sprintf("answers in %.2f ms", float64(time.Since(start).Microseconds())/1000), nil
}

// apps asks for the running applications.
func (c *climber) apps(ctx context.Context) (string, error) {
	var running []struct {
		Name etf.Atom
		Desc etf.Term
		Vsn  string
	}
	if err := c.n.CallInto(ctx, c.t.Name, &running, "application", "which_applications", int(c.step.Milliseconds())); err != nil {
		return "", err
	}
	versions := make(map[string]string, len(running))
	for _, a := range running {
		versions[string(a.Name)] = a.Vsn
	}
	var up, down []string
	for _, a := range c.t.Apps {
		if v, ok := versions[a]; ok {
			up = append(up, a+" "+v)
		} else {
			down = append(down, a)
		}
	}
	if len(down) > 0 {
		return "", &checks.Finding{
			What:  fmt.Sprintf("%s: %s not running", c.t.Name, strings.Join(down, ", ")),
			Saw:   fmt.Sprintf("%d applications run, not %s", len(running), strings.Join(down, ", ")),
			Cause: "the application was stopped, or its top supervisor gave up",
			Fix:   "read the node's log, then application:ensure_all_started, or restart the node",
		}
	}
	if len(up) == 0 {
		return fmt.Sprintf("%d run", len(running)), nil
	}
	return fmt.Sprintf("%s and %d more run", strings.Join(up, ", "), len(running)-len(up)), nil
}
