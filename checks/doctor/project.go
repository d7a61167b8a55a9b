package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/hashicorp/go-multierror"

	"github.com/beamctl/beamctl/checks"
)

var projectChecks = []*Check{
	{
		Name: "project", Group: Project, Start: true,
		What:  "the project's directory is there and can be read",
		Looks: "the directory, and what beamctl.yaml or the files in it say is to be started",
		Fails: "fails when it cannot be read, and when beamctl.yaml is wrong; without a project only the machine is examined",
		Fix:   "correct what it names; `beamctl config` shows what start would start",
		run:   checkProject,
	},
	{
		Name: "names", Group: Project, Start: true,
		What:  "the nodes' names are ones that nodes can have, and no two are the same",
		Looks: "the names of the configuration, by the rules of net_kernel: a long name's host has a dot, a short one's has none",
		Fails: "fails when a name is no node name, is there twice, or is long where names are short, or short where they are long",
		Fix:   "use an address or a full host name (name@127.0.0.1), or set `names: short`",
		run:   checkNames,
	},
	{
		Name: "hosts", Group: Project, Start: true,
		What:  "the nodes' hosts are this machine",
		Looks: "resolves the host part of every name, and listens there",
		Fails: "fails when a host does not resolve or cannot be listened on",
		Fix:   "use 127.0.0.1 as the nodes' host, or put the host into /etc/hosts",
		run:   checkHosts,
	},
	{
		Name: "ports", Group: Project, Start: true,
		What:  "the ports that nodes will want are free, as many as they are",
		Looks: "tries every port of the ranges that the nodes' templates and distribution take from, and epmd_port; who has those that are taken, as far as this user may see",
		Fails: "fails when a fixed port is taken, or fewer are free than there are nodes",
		Fix:   "end what holds them, or give `ports` in beamctl.yaml a wider range",
		run:   checkPorts,
	},
	{
		Name: "ephemeral", Group: Project,
		What:  "the ports are not ones that the kernel gives to outgoing connections",
		Looks: "net.ipv4.ip_local_port_range and ip_local_reserved_ports",
		Fails: "warns when a configured range reaches into the kernel's: what is free now may be taken a moment later",
		Fix:   "choose ports below the kernel's range, or reserve them: sysctl net.ipv4.ip_local_reserved_ports",
		run:   checkEphemeral,
	},
	{
		Name: "build", Group: Project,
		What:  "the compiled code is not older than its sources",
		Looks: "the times of sources and of the .beam files that were compiled of them",
		Fails: "warns when nothing is compiled, or a source is newer, and start does not compile first",
		Fix:   "compile, or let start do it: `build` in beamctl.yaml",
		run:   checkBuild,
	},
}

func checkProject(_ context.Context, x *exam) {
	p := x.Project
	if p == nil {
		if x.PlanErr != nil {
			x.fail(checks.Finding{
				What: "what is to be started cannot be made out", Saw: lines(x.PlanErr), Fix: "correct it; `beamctl config` shows what start would start", Err: x.PlanErr,
			})
			return
		}
		x.none("none here: the machine alone is examined")
		return
	}
	fi, err := os.Stat(p.Dir)
	switch {
	case err != nil:
		x.fail(checks.Finding{What: "the project's directory cannot be read", Saw: err.Error(), Fix: "give the right one with --dir", Err: err})
	case !fi.IsDir():
		x.fail(checks.Finding{What: p.Dir + " is not a directory", Fix: "give the right one with --dir"})
	default:
		x.see("%s: %d × %s in %s", p.Cluster, len(p.Nodes), p.Runtime, p.Dir)
	}
}

// noProject notes that there is none to look at.
func (x *exam) noProject() {
	if x.PlanErr != nil {
		x.none("not known, see project")
	} else {
		x.none("no project")
	}
}

// lines shows many errors one below the other.
func lines(err error) string {
	all, ok := errors.AsType[*multierror.Error](err)
	if !ok {
		return err.Error()
	}
	var text []string
	for _, e := range all.Errors {
		text = append(text, e.Error())
	}
	return strings.Join(text, "\n")
}

func checkNames(_ context.Context, x *exam) {
	if x.Project == nil {
		x.noProject()
		return
	}
	seen := make(map[string]bool)
	for _, name := range x.Project.Nodes {
		if seen[name] {
			x.fail(checks.Finding{What: "two nodes are called " + name, Fix: "give every node a name of its own"})
		}
		seen[name] = true
		if f := nameFault(name, x.Project.Short); f != nil {
			x.fail(*f)
		}
	}
	kind := "long"
	if x.Project.Short {
		kind = "short"
	}
	x.see("%s: %s", kind, list(x.Project.Nodes))
}

// maxNodeName is what an atom can have.
const maxNodeName = 255

// nameFault applies the rules that every Erlang user meets once: a long name's host has a dot, a short one's has none.
func nameFault(name string, short bool) *checks.Finding {
	alive, host, ok := strings.Cut(name, "@")
	dotted := strings.ContainsAny(host, ".:")
	switch {
	case !ok || alive == "" || host == "" || strings.Contains(host, "@"):
		return &checks.Finding{What: fmt.Sprintf("%q is not a node name", name), Fix: "a node name is name@host"}
	case len(name) > maxNodeName:
		return &checks.Finding{
			What: fmt.Sprintf("the node name %.40s… is too long", name), Saw: fmt.Sprintf("%d characters", len(name)),
			Cause: fmt.Sprintf("a node name is an atom: at most %d", maxNodeName), Fix: "shorten it",
		}
	case strings.Trim(alive, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != "":
		return &checks.Finding{
			What: fmt.Sprintf("%q is not a node name", name), Cause: "before the @ net_kernel takes letters, digits, _ and - only",
			Fix: "rename it",
		}
	case !short && !dotted:
		return &checks.Finding{
			What: fmt.Sprintf("the host of %s is not a full one", name), Cause: "nodes are started with long names (-name), whose host part has a dot",
			Fix: "use an address or a full host name: " + alive + "@127.0.0.1",
		}
	case short && dotted:
		return &checks.Finding{
			What: fmt.Sprintf("the host of %s is a full one", name), Cause: "nodes are started with short names (-sname), whose host part has no dot",
			Fix: "leave the domain out, or set `names: long`",
		}
	}
	return nil
}

func checkHosts(ctx context.Context, x *exam) {
	if x.Project == nil {
		x.noProject()
		return
	}
	var hosts []string
	for _, name := range x.Project.Nodes {
		_, host, _ := strings.Cut(name, "@")
		if nameFault(name, x.Project.Short) != nil || slices.Contains(hosts, host) { // the name has to be right first
			continue
		}
		hosts = append(hosts, host)
		addrs, err := net.DefaultResolver.LookupHost(ctx, host)
		if err != nil {
			x.fail(checks.Finding{
				What: "the host " + host + " does not resolve", Saw: err.Error(),
				Fix: "use 127.0.0.1 as the nodes' host, or add it to /etc/hosts", Err: err,
			})
			continue
		}
		if err := listenOn(ctx, addrs[0]); err != nil {
			x.fail(checks.Finding{
				What: "nodes cannot listen on " + host, Saw: err.Error(),
				Cause: "its address is not one of this machine", Fix: "use 127.0.0.1 as the nodes' host", Err: err,
			})
		}
	}
	x.see("%s", list(hosts))
}

func checkPorts(ctx context.Context, x *exam) {
	if x.Project == nil {
		x.noProject()
		return
	}
	for _, r := range x.Project.Ports {
		enough := r.Hi - r.Lo + 1
		if x.quick {
			if enough = r.Need; r.Spare {
				continue
			}
		}
		free, taken, err := r.free(ctx, enough)
		own := 0
		if free < r.Need && !r.Spare {
			own = x.own(taken)
		}
		if free+own >= r.Need || r.Spare {
			text := fmt.Sprintf("%s %s: %d of %d free", r.Name, r, free, r.Hi-r.Lo+1)
			if own > 0 {
				text += fmt.Sprintf(", %d held by the running cluster %s", own, x.Project.Cluster)
			}
			x.see("%s", text)
			continue
		}
		x.fail(r.finding(free, taken, err))
	}
	if len(x.saw) == 0 && len(x.problems) == 0 {
		x.none("no fixed port is wanted")
	}
}

// free counts the ports that can be had, until they are enough; err is why the last of those that are taken cannot.
func (r Ports) free(ctx context.Context, enough int) (free int, taken []int, err error) {
	for p := r.Lo; p <= r.Hi && free < enough; p++ {
		if perr := probe(ctx, r.Host, p); perr != nil {
			taken, err = append(taken, p), perr
		} else {
			free++
		}
	}
	return free, taken, err
}

// own counts those that the running cluster of the project holds.
func (x *exam) own(taken []int) int {
	if x.Clusters.Owner == nil {
		return 0
	}
	own := 0
	for _, p := range taken {
		if pid, _, ok := checks.PortHolder(p); ok && x.Clusters.Owner(pid) == x.Project.Cluster {
			own++
		}
	}
	return own
}

// finding says that too few are free; err is why, nil if there are too few at all.
func (r Ports) finding(free int, taken []int, err error) checks.Finding {
	f := checks.Finding{
		What: fmt.Sprintf("of the ports %s (%s) %d are wanted and %d free", r, r.Name, r.Need, free), Err: err,
		Saw: fmt.Sprintf("there are %d", r.Hi-r.Lo+1), Fix: r.Name + " in beamctl.yaml needs a wider range",
	}
	if err == nil {
		return f
	}
	f.Saw, f.Fix = err.Error(), "end what holds them, or choose others: "+r.Name+" in beamctl.yaml"
	if r.Lo == r.Hi && r.Need == 1 {
		f.What, f.Fix = fmt.Sprintf("port %d (%s) is taken", r.Lo, r.Name), "stop what holds it, or choose another port: "+r.Name+" in beamctl.yaml"
	}
	if !errors.Is(err, syscall.EADDRINUSE) {
		f.What, f.Fix = fmt.Sprintf("the ports %s (%s) cannot be listened on", r, r.Name), "choose others: "+r.Name+" in beamctl.yaml; those below 1024 are root's"
		return f
	}
	for _, p := range taken {
		if pid, cmd, ok := checks.PortHolder(p); ok {
			f.Saw = fmt.Sprintf("port %d is held by pid %d: %s", p, pid, cmd)
			break
		}
	}
	return f
}

func probe(ctx context.Context, host string, port int) error {
	if host == "" {
		return checks.ProbePort(port, true)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return err
	}
	return l.Close()
}

func (r Ports) String() string {
	if r.Lo == r.Hi {
		return strconv.Itoa(r.Lo)
	}
	return fmt.Sprintf("%d-%d", r.Lo, r.Hi)
}

func checkEphemeral(_ context.Context, x *exam) {
	if x.Project == nil {
		x.noProject()
		return
	}
	e := checks.KernelPorts()
	for _, r := range x.Project.Ports {
		inside := 0
		for p := r.Lo; p <= r.Hi; p++ {
			if e.Has(p) {
				inside++
			}
		}
		if inside == 0 {
			continue
		}
		x.warn(checks.Finding{
			What: fmt.Sprintf("the kernel may give %d of the ports %s (%s) to outgoing connections", inside, r, r.Name),
			Saw:  fmt.Sprintf("its range is %d-%d", e.Lo, e.Hi), Cause: "a port that is free now may be taken when the node listens",
			Fix: fmt.Sprintf("choose ports below %d, or reserve them: sysctl net.ipv4.ip_local_reserved_ports=%s", e.Lo, r),
		})
	}
	x.see("the kernel's are %d-%d", e.Lo, e.Hi)
}

func checkBuild(_ context.Context, x *exam) {
	if x.Project == nil {
		x.noProject()
		return
	}
	b := &x.Project.Build
	if file, _ := newestBeam(b.Code); file == "" {
		switch {
		case b.Step != "":
			x.see("nothing is compiled yet; start does that first (%s)", b.Step)
		case len(b.Code) > 0:
			x.warn(checks.Finding{
				What: "nothing is compiled", Saw: "no .beam file in " + list(b.Code), Cause: "nodes run what was compiled, and start compiles nothing",
				Fix: "compile, or let start do it: `build` in beamctl.yaml",
			})
		default:
			x.none("the project has no code of its own that could be looked at")
		}
		return
	}
	stale, err := b.Stale()
	switch {
	case err != nil:
		x.warn(checks.Finding{What: "the compiled code cannot be read", Saw: err.Error(), Fix: "let this user read it", Err: err})
	case len(stale) == 0:
		x.see("no source is newer than what was compiled of it")
	case b.Step != "":
		x.see("start compiles first (%s): %s", b.Step, list(stale))
	default:
		x.warn(checks.Finding{
			What: "the compiled code is older than its sources", Saw: list(stale), Cause: "nodes run what was compiled, and start compiles nothing",
			Fix: "compile, or let start do it: `build` in beamctl.yaml",
		})
	}
}

// list shows the first of many.
func list(all []string) string {
	const most = 5
	if len(all) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(all[:most], ", "), len(all)-most)
	}
	return strings.Join(all, ", ")
}
