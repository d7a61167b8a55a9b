package checks

import "strings"

// Lengths of the part before the @ that a node gives to who asks it for a name: a random number of 64 bits to the base
// of 36 (generate_node_name/2 in net_kernel.erl). Hardly one is shorter.
const (
	shortGuest = 6
	longGuest  = 13
)

// IsGuest tells whether a node's name looks as one that another node has given to it: beamctl's, erl_call's.
func IsGuest(name string) bool {
	alive, _, ok := strings.Cut(name, "@")
	return ok && len(alive) >= shortGuest && len(alive) <= longGuest && strings.Trim(alive, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}
