package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/pflag"

	"github.com/beamctl/beamctl/checks"
	"github.com/beamctl/beamctl/dist"
	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/launcher"
	"github.com/beamctl/beamctl/node"
)

// attachment names nodes that beamctl did not start.
type attachment struct {
	nodes      []string
	cookieFile string
	tls        node.TLSFiles
	optFile    string
}

// cookieFlag is for whatever lets us in: the cookie, and with TLS a certificate.
func (at *attachment) cookieFlag(f *pflag.FlagSet) {
	f.StringVar(&at.cookieFile, "cookie-file", "", "file with the cookie of nodes that beamctl did not start (default: ~/.erlang.cookie)")
	f.StringVar(&at.optFile, "tls-optfile", "", "the file that such nodes, if they speak TLS, have for -ssl_dist_optfile: its client's certificate is used")
	f.StringVar(&at.tls.CA, "tls-ca", "", "certificate of the authority of nodes that speak TLS (PEM)")
	f.StringVar(&at.tls.Cert, "tls-cert", "", "certificate to show to nodes that speak TLS (PEM)")
	f.StringVar(&at.tls.Key, "tls-key", "", "its key (PEM; default: in the same file)")
}

// given tells whether one of the flags says how to get in; then it isn't for a node of a cluster of ours.
func (at *attachment) given() bool {
	return at.cookieFile != "" || at.optFile != "" || at.tls != node.TLSFiles{}
}

// secure returns how to speak TLS with attached nodes, nil: not at all.
func (at *attachment) secure() (*tls.Config, error) {
	files := at.tls
	switch {
	case at.optFile != "" && files != node.TLSFiles{}:
		return nil, usagef("--tls-optfile names the files that --tls-ca, --tls-cert and --tls-key do: give one or the other")
	case at.optFile != "":
		var err error
		if files, err = node.ReadOptFile(at.optFile); err != nil {
			return nil, err
		}
	case files == node.TLSFiles{}:
		return nil, nil //nolint:nilnil // that is what it means
	}
	return files.Config()
}

func (at *attachment) attachFlag(f *pflag.FlagSet) {
	f.StringSliceVar(&at.nodes, "attach", nil, "nodes that beamctl did not start: name@host, or name@host=address:port of its distribution listener")
}

func attachFromFlag(f *pflag.FlagSet, from *string) {
	f.StringVar(from, "attach-from", "", "a node that beamctl did not start, name@host[=address:port]: it and the nodes that it sees")
}

// neighbours are a node and those that it sees.
func (at attachment) neighbours(ctx context.Context, n *node.Node, from string, within time.Duration) ([]checks.Target, error) {
	at.nodes = []string{from}
	targets, err := at.targets()
	if err != nil {
		return nil, err
	}
	one := targets[0]
	if err := n.AddPeer(one.Peer()); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	var seen []etf.Atom
	if err := n.CallInto(ctx, one.Name, &seen, "erlang", "nodes", etf.Atom("visible")); err != nil {
		return nil, checks.CallFailed(one, err)
	}
	for _, name := range seen {
		if !nodeName(string(name)) { // a node of another kind may have any, and it is shown on a terminal
			return nil, fmt.Errorf("%s sees %q: %w", one.Name, name, node.ErrBadName)
		}
		targets = append(targets, checks.Target{Name: string(name), Cookie: one.Cookie, TLS: one.TLS})
	}
	return targets, nil
}

// cookie reads the cookie for attached nodes.
func (at *attachment) cookie() (dist.Cookie, error) {
	path := at.cookieFile
	if path == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return dist.Cookie{}, fmt.Errorf("cookie: %w", err)
		}
		path = filepath.Join(home, ".erlang.cookie")
		if _, err := os.Stat(path); err != nil {
			return dist.Cookie{}, &checks.Finding{
				What: "no cookie for nodes that beamctl did not start", Saw: err.Error(),
				Fix: "give the file that holds it: --cookie-file FILE", Err: dist.ErrNoCookie,
			}
		}
	}
	return dist.ReadCookieFile(path)
}

// targets resolves the nodes named by --attach.
func (at *attachment) targets() ([]checks.Target, error) {
	cookie, err := at.cookie()
	if err != nil {
		return nil, err
	}
	secure, err := at.secure()
	if err != nil {
		return nil, err
	}
	targets := make([]checks.Target, 0, len(at.nodes))
	for _, n := range at.nodes {
		name, addr, addressed := strings.Cut(n, "=")
		if !nodeName(name) {
			return nil, usagef("%q is not a full node name (name@host)", name)
		}
		if addressed && !isAddress(addr) {
			return nil, usagef("%q is no address of %s: address:port, as in %s=10.0.0.5:25672", addr, name, name)
		}
		if slices.ContainsFunc(targets, func(t checks.Target) bool { return t.Name == name }) {
			return nil, usagef("%s is named twice", name)
		}
		targets = append(targets, checks.Target{Name: name, Addr: addr, Cookie: cookie, TLS: secure})
	}
	return targets, nil
}

// nodeName tells whether a text can be the full name of a node: also of one that is not written in Erlang, which may call itself as it likes.
func nodeName(s string) bool {
	alive, host, _ := strings.Cut(s, "@")
	return alive != "" && host != "" && !strings.Contains(host, "@") &&
		!strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || unicode.IsSpace(r) })
}

// isAddress tells host:port from anything else.
func isAddress(s string) bool {
	host, text, err := net.SplitHostPort(s)
	port, bad := strconv.ParseUint(text, 10, 16)
	return err == nil && bad == nil && host != "" && port != 0
}

// clusterTargets returns the nodes of the running cluster that the flags mean.
func (a *app) clusterTargets() ([]checks.Target, error) {
	c, err := a.open()
	if err != nil {
		return nil, err
	}
	return c.Targets()
}

// explainedTargets are these nodes with what the supervisor knows of those that do not run.
func (a *app) explainedTargets(ctx context.Context) ([]checks.Target, error) {
	c, err := a.open()
	if err != nil {
		return nil, err
	}
	targets, err := c.Targets()
	if err == nil {
		c.Explain(ctx, targets)
	}
	return targets, err
}

// explained are targets, all of one cluster or none of ours, after they could not be asked: with what the supervisor knows of those that do not run.
func (a *app) explained(ctx context.Context, targets ...checks.Target) []checks.Target {
	if len(targets) == 0 || !targets[0].Ours {
		return targets
	}
	if c, err := a.open(); err == nil {
		c.Explain(context.WithoutCancel(ctx), targets) // the time may be up; this has its own
	}
	return targets
}

// target finds one node by what the user calls it: a node of the cluster by its full name or by what stands before the @,
// any other by its full name and a cookie file.
func (a *app) target(name string, at attachment) (checks.Target, error) {
	full, _, addressed := strings.Cut(name, "=")
	targets, err := a.clusterTargets()
	if err == nil && !addressed && !at.given() {
		var known []string
		for _, t := range targets {
			alive, _, _ := strings.Cut(t.Name, "@")
			if t.Name == name || alive == name {
				return t, nil
			}
			known = append(known, alive)
		}
		if !strings.Contains(name, "@") {
			return checks.Target{}, fmt.Errorf("%w: %s (there are %s)", launcher.ErrNoNode, name, strings.Join(known, ", "))
		}
	}
	if !strings.Contains(full, "@") {
		if err == nil {
			err = usagef("%q is not a full node name (name@host)", name)
		}
		return checks.Target{}, err
	}
	at.nodes = []string{name}
	targets, err = at.targets()
	if err != nil {
		return checks.Target{}, err
	}
	return targets[0], nil
}
