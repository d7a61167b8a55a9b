package launcher

import (
	_ "embed" // boot.erl
	"encoding/binary"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// bootScript makes a plain BEAM the node it shall be; every cluster keeps a copy in its state directory, for its nodes to read.
//
//go:embed boot.erl
var bootScript []byte

// MarkerEnv is the variable that everything which belongs to a cluster carries in its environment, with the cluster's id.
const MarkerEnv = "BEAMCTL_CLUSTER"

// memberEnv is the node, by what stands before its @, to which a process of a cluster belongs.
const memberEnv = "BEAMCTL_MEMBER"

// roleEnv tells a cluster's supervisor and guardian from its nodes.
const roleEnv = "BEAMCTL_ROLE"

// bootFlags make a BEAM evaluate boot.erl before anything else of its command line. -nocookie keeps it from reading (and
// creating) ~/.erlang.cookie. The quotes are for erlexec, which splits ERL_AFLAGS as a shell would.
func bootFlags(listen string, port int) string {
	return listenFlags(listen, port) + ` -nocookie -eval '` + bootEval + `'`
}

// bootEval does what file:script/1 does, with the modules that -eval has loaded already.
const bootEval = `{ok,B}=file:read_file(os:getenv("BEAMCTL_BOOT")),{ok,T,_}=erl_scan:string(binary_to_list(B)),` +
	`{ok,E}=erl_parse:parse_exprs(T),erl_eval:exprs(E,[])`

// decoyCookie is what start scripts that put a cookie into the command line get.
const decoyCookie = "not-the-cookie"

// ownFlags make a BEAM that starts distribution by itself read its cookie from HOME/.erlang.cookie, whatever else its command
// line says: of several -setcookie auth.erl takes none.
const ownFlags = `-setcookie ` + decoyCookie + ` -setcookie ` + decoyCookie

// listenFlags make a BEAM listen where its host part says, and not on 0.0.0.0, on the given port (0: on any); and leave no
// epmd daemon behind.
func listenFlags(ip string, port int) string {
	flags := "-start_epmd false -kernel inet_dist_use_interface " + erlangIP(ip)
	if port != 0 {
		flags += fmt.Sprintf(" inet_dist_listen_min %d inet_dist_listen_max %d", port, port)
	}
	return flags
}

// erlangIP writes an address as inet:ip_address(): 127.0.0.1 is {127,0,0,1}, ::1 is {0,0,0,0,0,0,0,1}.
func erlangIP(ip string) string {
	addr, err := netip.ParseAddr(ip)
	if err != nil || addr.Is4() {
		return "{" + strings.ReplaceAll(ip, ".", ",") + "}"
	}
	b := addr.As16()
	var groups []string
	for pair := range slices.Chunk(b[:], 2) {
		groups = append(groups, fmt.Sprint(binary.BigEndian.Uint16(pair)))
	}
	return "{" + strings.Join(groups, ",") + "}"
}

// nodePlan is how one node is started.
type nodePlan struct {
	argv, env []string
	dir       string
}

// planner makes the plans of a cluster's nodes.
type planner struct {
	spec  *Spec
	place place
	id    string
	base  []string // the user's environment
	ports *portTable
}

// plan says how to start n, which is to listen on the address ip and asks at epmdPort for its peers. It reserves the node's ports,
// which it keeps when it is planned again, and writes its files.
func (p *planner) plan(n *NodeSpec, ip, epmdPort string) (*nodePlan, error) {
	dir := p.place.node(n.Short())
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	l := p.spec.launch(n)
	sc := p.spec.scope(n)
	sc.Dir = dir
	sc.port = func(name string) (int, error) {
		r, ok := l.Ports[name]
		if !ok {
			return 0, unknownPortError(name)
		}
		return p.ports.reserve(n.Name, name, r)
	}
	distAt, err := sc.port(DistPort)
	if err != nil {
		return nil, err
	}
	if l, err = sc.launch(l); err != nil {
		return nil, err
	}
	rt := runtimes[l.Runtime]
	optFile, err := p.spec.optFile(p.place, n)
	if err != nil {
		return nil, err
	}
	dist := distFlags(ip, optFile)
	ownEnv, ownFiles := rt.node(&l, nodeFacts{name: n.Name, short: p.spec.ShortNames, proto: dist != "", dir: dir})
	if err := writeFiles(dir, merged(ownFiles, l.Files)); err != nil {
		return nil, err
	}
	env := projectEnv(p.base, &l)
	maps.Copy(env, merged(ownEnv, l.Env)) // what the user says of such things counts
	user := env["ERL_AFLAGS"]
	flags := quoted(l.VMArgs)
	if dist != "" {
		flags = append(flags, dist)
	}
	maps.Copy(env, map[string]string{
		MarkerEnv: p.id, roleEnv: "node", memberEnv: n.Short(),
		"ERL_EPMD_PORT": epmdPort, "ERL_CRASH_DUMP": p.place.crashDump(n.Short()),
	})
	if l.ownDistribution() {
		flags = append(flags, listenFlags(ip, distAt), ownFlags)
		if env["HOME"], err = p.place.makeHome(n.Short()); err != nil {
			return nil, err
		}
	} else {
		flags = append(flags, bootFlags(ip, distAt))
		maps.Copy(env, p.bootEnv(n, &l, user))
	}
	if user != "" {
		flags = slices.Insert(flags, 0, user)
	}
	env["ERL_AFLAGS"] = strings.Join(flags, " ")
	return &nodePlan{argv: rt.argv(&l, p.spec.Dir), env: flatten(env), dir: rt.workDir(p.spec.Dir, dir)}, nil
}

// bootEnv is what boot.erl reads.
func (p *planner) bootEnv(n *NodeSpec, l *Launch, userFlags string) map[string]string {
	env := map[string]string{
		"BEAMCTL_BOOT":        p.place.boot(),
		"BEAMCTL_NODE":        n.Name,
		"BEAMCTL_NODE_COOKIE": p.place.cookie(),
	}
	if p.spec.ShortNames {
		env["BEAMCTL_NAMES"] = "shortnames"
	}
	if userFlags != "" {
		env["BEAMCTL_USER_AFLAGS"] = userFlags
	}
	if runtimes[l.Runtime].bootStarts() && len(l.Apps) > 0 {
		env["BEAMCTL_START_APPS"] = "['" + strings.Join(l.Apps, "','") + "']"
	}
	return env
}

// quoted makes words that erlexec leaves whole. Validate has seen to it that none has a single quote.
func quoted(words []string) []string {
	var out []string
	for _, w := range words {
		if w == "" || strings.ContainsAny(w, " \t\"\\") {
			w = "'" + w + "'"
		}
		out = append(out, w)
	}
	return out
}

// writeFiles writes files that are templates no longer. They may hold secrets.
func writeFiles(dir string, files map[string]string) error {
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// buildStep is a command that builds the project, or a part of it, before the nodes start.
type buildStep struct{ argv, env []string }

// builds returns the build steps: the cluster's, and one for each node that has one of its own, each once.
func (p *planner) builds() []buildStep {
	var steps []buildStep
	add := func(l *Launch) {
		if len(l.Build) == 0 {
			return
		}
		env := projectEnv(p.base, l)
		// Templates that need a node say nothing here.
		maps.DeleteFunc(env, func(k, v string) bool { return l.Env[k] == v && strings.Contains(v, "{{") })
		if p.id != "" {
			env[MarkerEnv], env[roleEnv] = p.id, "build"
		}
		step := buildStep{l.Build, flatten(env)}
		if !slices.ContainsFunc(steps, func(s buildStep) bool {
			return slices.Equal(s.argv, step.argv) && slices.Equal(s.env, step.env)
		}) {
			steps = append(steps, step)
		}
	}
	for i := range p.spec.Nodes {
		n := &p.spec.Nodes[i]
		if n.Runtime != "" || n.Build != nil { // it has said so itself
			l := p.spec.launch(n)
			add(&l)
		} else {
			add(&p.spec.Launch)
		}
	}
	return steps
}

// projectEnv is what build and nodes have in common.
func projectEnv(base []string, l *Launch) map[string]string {
	env := environment(base)
	for k := range env { // a beamctl further up (exec in a cluster, a node that runs beamctl) is not ours to pass on
		if strings.HasPrefix(k, "BEAMCTL_") {
			delete(env, k)
		}
	}
	maps.Copy(env, runtimes[l.Runtime].env(env))
	maps.Copy(env, l.Env)
	if len(l.Bin) > 0 {
		env["PATH"] = strings.Join(append(slices.Clone(l.Bin), env["PATH"]), string(os.PathListSeparator))
	}
	return env
}

// environment turns KEY=VALUE strings into a map; of two equal keys the last counts.
func environment(kvs []string) map[string]string {
	env := make(map[string]string, len(kvs))
	for _, kv := range kvs {
		if k, v, ok := strings.Cut(kv, "="); ok && k != "" {
			env[k] = v
		}
	}
	return env
}

func flatten(env map[string]string) []string {
	out := make([]string, 0, len(env))
	for k, v := range env {
		out = append(out, k+"="+v)
	}
	slices.Sort(out)
	return out
}

// daemonEnv is the environment of a supervisor or a guardian.
func daemonEnv(id, role string) []string {
	env := environment(os.Environ())
	env[MarkerEnv], env[roleEnv] = id, role
	return flatten(env)
}
