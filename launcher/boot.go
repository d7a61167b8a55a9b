package launcher

import (
	_ "embed" // boot.erl
	"maps"
	"os"
	"slices"
	"strings"
)

// bootScript makes a plain BEAM the node it shall be; every cluster keeps a copy in its state directory, for its nodes to read.
//
//go:embed boot.erl
var bootScript []byte

// MarkerEnv is the variable that everything which belongs to a cluster carries in its environment, with the cluster's id.
const MarkerEnv = "BEAMCTL_CLUSTER"

// roleEnv tells a cluster's supervisor and guardian from its nodes.
const roleEnv = "BEAMCTL_ROLE"

// bootFlags make a BEAM evaluate boot.erl before anything else of its command line. -nocookie keeps it from reading (and
// creating) ~/.erlang.cookie, -start_epmd false from leaving an epmd daemon behind; it listens on its host part only.
// The quotes are for erlexec, which splits ERL_AFLAGS as a shell would.
func bootFlags(listen string) string {
	return `-nocookie -start_epmd false -kernel inet_dist_use_interface ` + erlangIP(listen) +
		` -eval '` + bootEval + `'`
}

// bootEval does what file:script/1 does, with the modules that -eval has loaded already.
const bootEval = `{ok,B}=file:read_file(os:getenv("BEAMCTL_BOOT")),{ok,T,_}=erl_scan:string(binary_to_list(B)),` +
	`{ok,E}=erl_parse:parse_exprs(T),erl_eval:exprs(E,[])`

// erlangIP writes an IPv4 address as inet:ip4_address(): 127.0.0.1 is {127,0,0,1}.
func erlangIP(ip string) string { return "{" + strings.ReplaceAll(ip, ".", ",") + "}" }

// nodeEnv is the environment of one node: the user's own, then the spec's, then what makes it a node of this cluster.
func nodeEnv(base []string, spec *Spec, n *NodeSpec, p place, id, listen, epmdPort string) []string {
	env := projectEnv(base, spec)
	maps.Copy(env, n.Env)

	flags := bootFlags(listen)
	if user := env["ERL_AFLAGS"]; user != "" {
		env["BEAMCTL_USER_AFLAGS"] = user
		flags = user + " " + flags
	}
	maps.Copy(env, map[string]string{
		MarkerEnv:             id,
		roleEnv:               "node",
		"BEAMCTL_BOOT":        p.boot(),
		"BEAMCTL_NODE":        n.Name,
		"BEAMCTL_NODE_COOKIE": p.cookie(),
		"ERL_AFLAGS":          flags,
		"ERL_EPMD_PORT":       epmdPort,
		"ERL_CRASH_DUMP":      p.crashDump(n.Short()),
	})
	maps.Copy(env, startAppsEnv(spec))
	return flatten(env)
}

// buildEnv is the environment of the build step: no node, but the cluster's to end.
func buildEnv(base []string, spec *Spec, id string) []string {
	env := projectEnv(base, spec)
	env[MarkerEnv], env[roleEnv] = id, "build"
	return flatten(env)
}

// projectEnv is what build and nodes have in common.
func projectEnv(base []string, spec *Spec) map[string]string {
	env := environment(base)
	for k := range env { // a beamctl further up (exec in a cluster, a node that runs beamctl) is not ours to pass on
		if strings.HasPrefix(k, "BEAMCTL_") {
			delete(env, k)
		}
	}
	maps.Copy(env, spec.runtime().env(env))
	maps.Copy(env, spec.Env)
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
