package etf

// A Term is one Erlang term in Go. Decode yields exactly these dynamic types:
//
//	integer        int64 where it fits, else *big.Int
//	float          float64
//	atom           Atom (true, false, nil and undefined are atoms too)
//	binary         []byte
//	bitstring      Bitstring (only when the last byte is partial)
//	list           List (proper; also what Erlang sent as STRING_EXT), ImproperList
//	tuple          Tuple
//	map            Map
//	pid, port, ref Pid, Port, Ref
//	fun            Fun, Export
//
// Encoding accepts all of them and, for convenience, the Go types listed at Append.
type Term = any

// Atom is an Erlang atom: at most 255 Unicode code points, UTF-8.
type Atom string

// List is a proper list. A nil List is [].
type List []Term

// ImproperList is a list whose last tail is not a list: [Elems... | Tail].
// Elems is never empty.
type ImproperList struct {
	Elems []Term
	Tail  Term
}

// Tuple is an Erlang tuple.
type Tuple []Term

// Map is an Erlang map with keys of any kind, in the order in which the peer sent them.
type Map []MapEntry

// MapEntry is one association of a Map.
type MapEntry struct{ Key, Value Term }

// Bitstring is a binary whose last byte counts only its Bits most significant bits (1..7).
type Bitstring struct {
	Bytes []byte
	Bits  uint8
}

// Pid names a process (NEW_PID_EXT, PID_EXT).
type Pid struct {
	Node     Atom
	ID       uint32
	Serial   uint32
	Creation uint32
}

// Port names a port (V4_PORT_EXT, NEW_PORT_EXT, PORT_EXT).
type Port struct {
	Node     Atom
	ID       uint64
	Creation uint32
}

// MaxRefWords is the longest reference any OTP makes: 5 words since OTP 24 (erl_dist_protocol, DFLAG_V4_NC).
const MaxRefWords = 5

// Ref is a reference (NEWER_REFERENCE_EXT, NEW_REFERENCE_EXT, REFERENCE_EXT). It is comparable:
// words beyond Len are zero, so that a Ref can be a map key.
type Ref struct {
	Node     Atom
	Creation uint32
	Len      uint8
	ID       [MaxRefWords]uint32
}

// Fun is a local fun with its environment (NEW_FUN_EXT).
type Fun struct {
	Arity    uint8
	Uniq     [16]byte
	Index    uint32
	Module   Atom
	OldIndex int64
	OldUniq  int64
	Pid      Pid
	Free     []Term
}

// Export is an external fun, fun Module:Function/Arity (EXPORT_EXT).
type Export struct {
	Module   Atom
	Function Atom
	Arity    uint8
}

// Get returns the value of the first entry whose key is [Equal] to key.
func (m Map) Get(key Term) (Term, bool) {
	for _, e := range m {
		if Equal(e.Key, key) {
			return e.Value, true
		}
	}
	return nil, false
}

// Lookup reads l as a property list: the value of the first {key, Value}, or true for a bare key.
func (l List) Lookup(key Atom) (Term, bool) {
	for _, t := range l {
		switch t := t.(type) {
		case Atom:
			if t == key {
				return Atom("true"), true
			}
		case Tuple:
			if len(t) == 2 && t[0] == key {
				return t[1], true
			}
		}
	}
	return nil, false
}
