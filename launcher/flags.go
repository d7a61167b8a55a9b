package launcher

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/beamctl/beamctl/checks"
	"github.com/beamctl/beamctl/launcher/internal/proc"
)

// protoDist chooses the protocol that distribution speaks. A BEAM may see it only once: of two net_kernel takes none, and speaks plain
// TCP (protocol_childspecs in net_kernel.erl, inet_tls_dist being one).
const protoDist = "-proto_dist"

// flagVariables are those whose text becomes a part of a BEAM's command line: erl's own, Elixir's and RabbitMQ's.
var flagVariables = []string{"ERL_AFLAGS", "ERL_FLAGS", "ERL_ZFLAGS", "ELIXIR_ERL_OPTIONS", "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS"}

const protoText = "has -proto_dist, which beamctl sets, as it has to speak it, too; take it out: for TLS say `tls: auto`, or `tls: FILE` with the file " +
	"of -ssl_dist_optfile, and IPv6 follows from the nodes' hosts"

func hasProto(text string) bool { return slices.Contains(strings.Fields(text), protoDist) }

// protoFaults says where l chooses a protocol. What is further away, in an -args_file or a script, is seen when the node runs.
func (l *Launch) protoFaults() []fault {
	var faults []fault
	for _, k := range slices.Sorted(maps.Keys(l.Env)) {
		if slices.Contains(flagVariables, k) && hasProto(l.Env[k]) {
			faults = append(faults, fault{"env." + k, protoText})
		}
	}
	for _, list := range []struct {
		key   string
		words []string
	}{{"command", l.Command}, {"args", l.Args}, {"vm_args", l.VMArgs}} {
		if slices.ContainsFunc(list.words, hasProto) {
			faults = append(faults, fault{list.key, protoText})
		}
	}
	return faults
}

// userProtoFaults says which of the user's variables do, unless the configuration sets them to something else.
func userProtoFaults(user, config map[string]string) (faults []*ConfigError) {
	for _, k := range flagVariables {
		if _, set := config[k]; !set && hasProto(user[k]) {
			faults = append(faults, &ConfigError{Where: "$" + k, Text: protoText + "; or unset " + k})
		}
	}
	return faults
}

// vm is a BEAM that was started for a node.
type vm struct {
	pid  int
	args []string
}

// vms returns the BEAMs among m's processes.
func (s *supervisor) vms(m *member) []vm {
	all, err := marked(s.ID)
	if err != nil {
		return nil
	}
	var out []vm
	for _, id := range all {
		if proc.Getenv(id.Pid, memberEnv) == m.short && strings.HasPrefix(proc.Command(id.Pid), "beam") {
			out = append(out, vm{id.Pid, proc.Args(id.Pid)})
		}
	}
	return out
}

// protoTwice explains that a node got a protocol from elsewhere, too.
func (s *supervisor) protoTwice(m *member) *checks.Finding {
	for _, v := range s.vms(m) {
		var protos []string
		for i, arg := range v.args[:max(0, len(v.args)-1)] {
			if arg == protoDist {
				protos = append(protos, arg+" "+v.args[i+1])
			}
		}
		if len(protos) > 1 {
			return &checks.Finding{
				What:  m.name + " did not start: its flags choose the protocol of distribution twice",
				Saw:   fmt.Sprintf("%s on the command line of pid %d", strings.Join(protos, ", "), v.pid),
				Cause: "beamctl gives one, for `tls:` or as the node's host has an IPv6 address; the other is in flags of the node's own: an -args_file, a start script. Of two OTP takes none",
				Fix:   "take -proto_dist, and -ssl_dist_optfile, out of the node's own flags",
			}
		}
	}
	return nil
}

// ourFlag is on the command line of every BEAM that has got the flags that beamctl gives it.
const ourFlag = "inet_dist_use_interface"

// flagsLost explains that a BEAM runs without the flags that would make it the node.
func (s *supervisor) flagsLost(m *member) *checks.Finding {
	for _, v := range s.vms(m) {
		if len(v.args) > 0 && !slices.Contains(v.args, ourFlag) {
			return &checks.Finding{
				What:  m.name + " did not start: its BEAM has not got beamctl's flags",
				Saw:   fmt.Sprintf("pid %d (%s) runs without them, and has not registered with EPMD", v.pid, proc.Command(v.pid)),
				Cause: "the script that starts it drops or replaces ERL_AFLAGS, by which it would become the node",
				Fix:   "have the script keep ERL_AFLAGS: what it wants to add can be put into vm_args in beamctl.yaml", Err: ErrNotReady,
			}
		}
	}
	return nil
}
