package checks

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/hashicorp/go-multierror"
)

// PreflightSpec says what is about to be started.
type PreflightSpec struct {
	Dir   string   // the project's directory
	State string   // where the cluster's state will live; need not exist
	Tools []Tool   // programs that the nodes are started with
	Names []string // full node names
	Ports []int    // fixed TCP ports on loopback that must be free

	ShortNames bool // the names are short ones, without a dot
}

// Tool is a program, and where it is looked for. One with a slash in its name is where that says.
type Tool struct {
	Name string // erl, mix, /opt/app/bin/app
	Path string // the PATH of the nodes
}

// Preflight looks for faults before anything is started, without booting a BEAM. It returns all of them, each a *Finding, as one
// *multierror.Error, or nil.
func Preflight(ctx context.Context, s PreflightSpec) error {
	var errs *multierror.Error
	add := func(f *Finding) {
		if f != nil {
			errs = multierror.Append(errs, f)
		}
	}
	add(checkDir(s.Dir))
	add(checkState(s.State))
	for _, tool := range s.Tools {
		add(checkTool(tool))
	}
	seen := map[string]bool{}
	hosts := map[string]bool{}
	for _, name := range s.Names {
		if seen[name] {
			add(&Finding{What: "two nodes are called " + name, Fix: "give every node a name of its own"})
		}
		seen[name] = true
		f := checkName(name, s.ShortNames)
		add(f)
		if _, host, _ := strings.Cut(name, "@"); f == nil && !hosts[host] {
			hosts[host] = true
			add(checkHost(ctx, host))
		}
	}
	for _, p := range s.Ports {
		add(checkPort(ctx, p))
	}
	return errs.ErrorOrNil()
}

func checkDir(dir string) *Finding {
	st, err := os.Stat(dir)
	switch {
	case err != nil:
		return &Finding{What: "the project's directory cannot be read", Saw: err.Error(), Err: err}
	case !st.IsDir():
		return &Finding{What: dir + " is not a directory"}
	}
	return nil
}

// checkState finds the nearest directory that exists above the state directory, and tries to write there.
func checkState(dir string) *Finding {
	if dir == "" {
		return nil
	}
	at := dir
	for {
		if _, err := os.Stat(at); err == nil || filepath.Dir(at) == at {
			break
		}
		at = filepath.Dir(at)
	}
	f, err := os.CreateTemp(at, ".beamctl-probe-*")
	if err != nil {
		return &Finding{
			What: "the cluster's state cannot be written", Saw: err.Error(),
			Fix: "make " + at + " writable, or choose another place with --state-dir", Err: err,
		}
	}
	_, werr := f.Write(make([]byte, 4096))
	err = errors.Join(werr, f.Close(), os.Remove(f.Name()))
	if errors.Is(err, syscall.ENOSPC) {
		return &Finding{
			What: "the disk is full", Saw: err.Error(),
			Fix: "free some space under " + at + ", or choose another place with --state-dir", Err: err,
		}
	}
	if err != nil {
		return &Finding{What: "the cluster's state cannot be written", Saw: err.Error(), Err: err}
	}
	return nil
}

func checkTool(tool Tool) *Finding {
	if strings.ContainsRune(tool.Name, '/') {
		return nil // relative to where it will run, which is not known here
	}
	for _, dir := range filepath.SplitList(tool.Path) {
		if dir == "" {
			continue
		}
		if _, err := exec.LookPath(filepath.Join(dir, tool.Name)); err == nil {
			return nil
		}
	}
	pkg := map[string]string{"erl": "erlang", "erlc": "erlang", "mix": "elixir", "elixir": "elixir", "rebar3": "rebar3"}[tool.Name]
	if pkg == "" {
		pkg = tool.Name
	}
	return &Finding{
		What: tool.Name + " is not on PATH", Saw: "PATH=" + tool.Path,
		Cause: "the nodes of this project are started with it",
		Fix:   "install it (Debian: apt-get install " + pkg + "), or put its directory on PATH",
		Err:   exec.ErrNotFound,
	}
}

// checkName applies the rule that every Erlang user meets once: a long name's host has a dot.
func checkName(name string, short bool) *Finding {
	alive, host, ok := strings.Cut(name, "@")
	switch {
	case !ok || alive == "" || host == "" || strings.Contains(host, "@"):
		return &Finding{What: fmt.Sprintf("%q is not a node name", name), Fix: "a node name is name@host"}
	case len(name) > 255:
		return &Finding{What: fmt.Sprintf("the node name %.40s… is too long", name), Saw: fmt.Sprintf("%d characters", len(name)), Cause: "a node name is an atom: at most 255"}
	case strings.Trim(alive, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != "":
		return &Finding{
			What:  fmt.Sprintf("%q is not a node name", name),
			Cause: "before the @ net_kernel takes letters, digits, _ and - only",
		}
	case !short && !strings.ContainsAny(host, ".:"):
		return &Finding{
			What:  fmt.Sprintf("the host of %s is not a full one", name),
			Cause: "nodes are started with long names (-name), whose host part has a dot",
			Fix:   "use an address or a full host name: " + alive + "@127.0.0.1",
		}
	}
	return nil
}

func checkHost(ctx context.Context, host string) *Finding {
	addrs, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		return &Finding{
			What: "the host " + host + " does not resolve", Saw: err.Error(),
			Fix: "use 127.0.0.1 as the nodes' host, or add it to /etc/hosts", Err: err,
		}
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", net.JoinHostPort(addrs[0], "0"))
	if err != nil {
		return &Finding{
			What: "nodes cannot listen on " + host, Saw: err.Error(),
			Cause: "its address is not one of this machine", Fix: "use 127.0.0.1 as the nodes' host", Err: err,
		}
	}
	_ = l.Close()
	return nil
}

func checkPort(ctx context.Context, port int) *Finding {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err == nil {
		_ = l.Close()
		return nil
	}
	if !errors.Is(err, syscall.EADDRINUSE) {
		return &Finding{What: fmt.Sprintf("port %d cannot be listened on", port), Saw: err.Error(), Err: err}
	}
	f := &Finding{
		What: fmt.Sprintf("port %d is taken", port), Saw: "address already in use",
		Fix: "stop what holds it, or choose another port", Err: err,
	}
	if pid, cmd, ok := PortHolder(port); ok {
		f.Saw = fmt.Sprintf("held by pid %d: %s", pid, cmd)
	}
	return f
}
