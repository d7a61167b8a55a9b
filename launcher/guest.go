package launcher

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/beamctl/beamctl/checks"
	"github.com/beamctl/beamctl/epmd"
)

// ErrNoGuest says that a command which was to be a node never was.
var ErrNoGuest = errors.New("never registered with EPMD")

// guest is a node of the cluster which beamctl does not manage: a command of [Cluster.Exec] with AsNode.
type guest struct {
	c      *Cluster
	name   string // full
	listen string // the address that its host part means
	hidden bool
	events tail // from before it was started
	argv0  string
	shell  bool // it is a remote shell
}

// remoteShell tells whether a command line asks erl or iex for a remote shell.
func remoteShell(argv []string) bool {
	return slices.Contains(argv, "-remsh") || slices.Contains(argv, "--remsh")
}

// lookupTimeout bounds what is asked of our own EPMD, on loopback.
const lookupTimeout = 5 * time.Second

// guestNode makes sure that the name can be had.
func (c *Cluster) guestNode(ctx context.Context, cfg ExecConfig) (*guest, error) {
	first := c.record.Nodes[0].Name
	g := &guest{c: c, name: cfg.AsNode, hidden: cfg.Hidden, argv0: cfg.Argv[0], shell: remoteShell(cfg.Argv)}
	alive, host, ok := strings.Cut(g.name, "@")
	if !ok {
		_, host, _ = strings.Cut(first, "@")
		g.name = alive + "@" + host
	}
	if !aliveName().MatchString(alive) || host == "" {
		return nil, fmt.Errorf("%w: node name %q: letters, digits, _ and - before the @", ErrSpec, cfg.AsNode)
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	var err error
	if g.listen, err = resolve(ctx, host); err != nil {
		return nil, fmt.Errorf("%s: %w", g.name, err)
	}
	client := epmd.Client{Addr: c.record.EPMD}
	taken, err := client.Names(ctx)
	if err != nil {
		return nil, fmt.Errorf("the cluster's EPMD: %w", err)
	}
	ours := slices.ContainsFunc(c.record.Nodes, func(n NodeRecord) bool { return strings.HasPrefix(n.Name, alive+"@") })
	if ours || slices.ContainsFunc(taken, func(n epmd.NamePort) bool { return n.Name == alive }) {
		return nil, &checks.Finding{
			What: "the command cannot be node " + g.name, Saw: "EPMD has a node of that name", Fix: "give another name with --as-node", Err: ErrSpec,
		}
	}
	g.events = tail{path: c.place.events(), fresh: true}
	_, err = g.events.rest() // what comes from now on is of interest
	return g, err
}

// env is what makes a BEAM the node, as it does with the cluster's own; only this one keeps what Env says.
func (g *guest) env(have map[string]string) (map[string]string, error) {
	if g.shell {
		return g.shellEnv(have)
	}
	var peers []string
	for _, n := range g.c.record.Nodes {
		peers = append(peers, n.Name)
	}
	env := map[string]string{
		"BEAMCTL_BOOT":        g.c.place.boot(),
		"BEAMCTL_NODE":        g.name,
		"BEAMCTL_NODE_COOKIE": g.c.place.cookie(),
		"BEAMCTL_CONNECT":     strings.Join(peers, ","),
		"ERL_AFLAGS":          g.flags(have, bootFlags(g.listen, 0)),
	}
	if g.c.record.Spec.ShortNames {
		env["BEAMCTL_NAMES"] = "shortnames"
	}
	if user := have["ERL_AFLAGS"]; user != "" {
		env["BEAMCTL_USER_AFLAGS"] = user
	}
	return env, nil
}

// shellEnv makes a remote shell the node. The shell connects while kernel starts, before any -eval: its name has to be on its command
// line by then, and its cookie where a BEAM looks for one. It starts no BEAMs that could inherit them.
func (g *guest) shellEnv(have map[string]string) (map[string]string, error) {
	home, err := g.c.place.makeHome(userHome)
	if err != nil {
		return nil, err
	}
	name := "-name "
	if g.c.record.Spec.ShortNames {
		name = "-sname "
	}
	return map[string]string{"HOME": home, "ERL_AFLAGS": g.flags(have, name+g.name+" "+listenFlags(g.listen, 0)+" "+ownFlags)}, nil
}

// userHome is under what the HOME of the user's own nodes is that read their cookie there: no node's name begins with a dot.
const userHome = ".user"

// flags are the guest's, after the user's own.
func (g *guest) flags(have map[string]string, flags string) string {
	if g.hidden {
		flags = "-hidden " + flags
	}
	return strings.TrimSpace(have["ERL_AFLAGS"] + " " + flags)
}

// argv is the command's, but that ct_run is told its name: it would give itself a short one (ct), with which nobody else in the
// cluster could speak, and takes only what stands on its command line for a wish (ct_run.c).
func (g *guest) argv(argv []string) []string {
	if filepath.Base(argv[0]) != "ct_run" || slices.Contains(argv, "-name") || slices.Contains(argv, "-sname") {
		return argv
	}
	return slices.Insert(slices.Clone(argv), 1, "-name", g.name)
}

// check turns the result of a command that never was the node into an error.
func (g *guest) check(status int, err error) (int, error) {
	lines, rerr := g.events.rest()
	g.events.close()
	alive, _, _ := strings.Cut(g.name, "@")
	for _, l := range lines {
		if e, ok := parseEvent(l); ok && e.Stage == StageRegistered && e.Node == alive {
			return status, err
		}
	}
	if status == 0 {
		status = ExecFailed
	}
	if errors.Is(rerr, os.ErrNotExist) {
		rerr = nil // the cluster has ended
	}
	return status, errors.Join(err, rerr, &checks.Finding{
		What: fmt.Sprintf("%s ended and was never node %s", g.argv0, g.name), Saw: "the name was not registered with the cluster's EPMD",
		Cause: "the command ran no BEAM, or one that has a name of its own (-name, -sname, Node.start) or drops ERL_AFLAGS from its environment",
		Fix:   "leave the name to beamctl: no -name and -sname, and no distribution started by the code", Err: ErrNoGuest,
	})
}
