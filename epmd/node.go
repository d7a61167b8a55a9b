package epmd

import "strconv"

// DefaultPort is where an EPMD listens unless ERL_EPMD_PORT says otherwise.
const DefaultPort = 4369

// NodeType tells what kind of node it says it is. Nobody decides by it: an "erl -hidden" registers as normal.
type NodeType uint8

// The node types of ALIVE2_REQ (erl_dist_protocol).
const (
	TypeNormal NodeType = 77
	TypeHidden NodeType = 72

	typeCNode NodeType = 104 // what C nodes (ei_publish) say instead of TypeHidden
)

// String is "normal", "hidden" or the number.
func (t NodeType) String() string {
	switch t {
	case TypeNormal:
		return "normal"
	case TypeHidden, typeCNode:
		return "hidden"
	default:
		return strconv.Itoa(int(t))
	}
}

// Node is what a node tells an EPMD about itself, and what the EPMD tells others.
type Node struct {
	Name           string // the alive part, before the @; at most 255 characters
	Port           uint16 // where it listens for distribution connections
	Type           NodeType
	Protocol       uint8  // 0: TCP over IPv4. Nodes on IPv6 say 0 as well
	HighestVersion uint16 // of the distribution protocol; 6 since OTP 23
	LowestVersion  uint16 // 5 up to OTP 24, 6 since OTP 25
	Extra          []byte // at most 1020 bytes; OTP sends none
	// Creation tells this incarnation of the name from others: never 0, and 1..3 for a node that speaks only version 5.
	// The EPMD chooses it: it is ignored in a registration and not told by a lookup.
	Creation uint32
}

// NamePort is one line of what [Client.Names] returns.
type NamePort struct {
	Name string
	Port uint16
}

// DumpEntry is one line of what [Client.Dump] returns.
type DumpEntry struct {
	Name   string
	Port   uint16
	FD     int  // the EPMD's name for the connection: a file descriptor in epmd, a running number in [Server]
	Active bool // false: registered earlier, remembered so that its next creation differs
}
