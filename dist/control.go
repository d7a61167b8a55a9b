package dist

import (
	"fmt"
	"math/big"

	"github.com/beamctl/beamctl/dist/etf"
)

// Op is the operation of a control message (erl_dist_protocol, "Protocol between Connected Nodes").
type Op uint8

// The operations. Those ending in TT carry a trace token, which we read and ignore, and never send.
const (
	OpLink               Op = 1 // From, To
	OpSend               Op = 2 // To; message
	OpExit               Op = 3 // From, To, Reason
	OpUnlink             Op = 4 // From, To; only nodes before OTP 26 send it, we never do
	OpRegSend            Op = 6 // From, To (a name); message
	OpGroupLeader        Op = 7 // From (the new leader), To
	OpExit2              Op = 8 // From, To, Reason: exit/2
	OpSendTT             Op = 12
	OpExitTT             Op = 13
	OpRegSendTT          Op = 16
	OpExit2TT            Op = 18
	OpMonitor            Op = 19 // From, To (pid or name), Ref
	OpDemonitor          Op = 20 // From, To, Ref
	OpMonitorExit        Op = 21 // From (pid or name), To, Ref, Reason: becomes 'DOWN'
	OpSendSender         Op = 22 // From, To; message
	OpSendSenderTT       Op = 23
	OpPayloadExit        Op = 24 // From, To; payload is the reason
	OpPayloadExitTT      Op = 25
	OpPayloadExit2       Op = 26 // From, To; payload is the reason
	OpPayloadExit2TT     Op = 27
	OpPayloadMonitorExit Op = 28 // From, To, Ref; payload is the reason
	OpSpawnRequest       Op = 29 // Ref (request id), From, GroupLeader, MFA, Opts; payload is the argument list
	OpSpawnRequestTT     Op = 30
	OpSpawnReply         Op = 31 // Ref (request id), To, Flags, Result
	OpSpawnReplyTT       Op = 32
	OpAliasSend          Op = 33 // From, To (a reference); message
	OpAliasSendTT        Op = 34
	OpUnlinkID           Op = 35 // ID, From, To
	OpUnlinkIDAck        Op = 36 // ID, From, To
)

// field names one element of a control tuple.
type field uint8

const (
	fFrom field = iota
	fTo
	fRef
	fReason
	fID
	fFlags
	fResult
	fLeader
	fMFA
	fOpts
	fUnused
)

// The tags that a control tuple begins with: every operation has few elements and a small number.
const (
	tagSmallTuple   = 104 // SMALL_TUPLE_EXT
	tagSmallInteger = 97  // SMALL_INTEGER_EXT
)

// layout is the order of a control tuple's elements behind the operation, and whether a message follows.
type layout struct {
	fields  []field
	payload bool
}

var layouts = map[Op]layout{
	OpLink:               {[]field{fFrom, fTo}, false},
	OpSend:               {[]field{fUnused, fTo}, true},
	OpExit:               {[]field{fFrom, fTo, fReason}, false},
	OpUnlink:             {[]field{fFrom, fTo}, false},
	OpRegSend:            {[]field{fFrom, fUnused, fTo}, true},
	OpGroupLeader:        {[]field{fFrom, fTo}, false},
	OpExit2:              {[]field{fFrom, fTo, fReason}, false},
	OpSendTT:             {[]field{fUnused, fTo, fUnused}, true},
	OpExitTT:             {[]field{fFrom, fTo, fUnused, fReason}, false},
	OpRegSendTT:          {[]field{fFrom, fUnused, fTo, fUnused}, true},
	OpExit2TT:            {[]field{fFrom, fTo, fUnused, fReason}, false},
	OpMonitor:            {[]field{fFrom, fTo, fRef}, false},
	OpDemonitor:          {[]field{fFrom, fTo, fRef}, false},
	OpMonitorExit:        {[]field{fFrom, fTo, fRef, fReason}, false},
	OpSendSender:         {[]field{fFrom, fTo}, true},
	OpSendSenderTT:       {[]field{fFrom, fTo, fUnused}, true},
	OpPayloadExit:        {[]field{fFrom, fTo}, true},
	OpPayloadExitTT:      {[]field{fFrom, fTo, fUnused}, true},
	OpPayloadExit2:       {[]field{fFrom, fTo}, true},
	OpPayloadExit2TT:     {[]field{fFrom, fTo, fUnused}, true},
	OpPayloadMonitorExit: {[]field{fFrom, fTo, fRef}, true},
	OpSpawnRequest:       {[]field{fRef, fFrom, fLeader, fMFA, fOpts}, true},
	OpSpawnRequestTT:     {[]field{fRef, fFrom, fLeader, fMFA, fOpts, fUnused}, true},
	OpSpawnReply:         {[]field{fRef, fTo, fFlags, fResult}, false},
	OpSpawnReplyTT:       {[]field{fRef, fTo, fFlags, fResult, fUnused}, false},
	OpAliasSend:          {[]field{fFrom, fTo}, true},
	OpAliasSendTT:        {[]field{fFrom, fTo, fUnused}, true},
	OpUnlinkID:           {[]field{fID, fFrom, fTo}, false},
	OpUnlinkIDAck:        {[]field{fID, fFrom, fTo}, false},
}

// withoutToken maps an operation with a trace token to the same without: receivers need not tell them apart.
var withoutToken = map[Op]Op{
	OpSendTT: OpSend, OpExitTT: OpExit, OpRegSendTT: OpRegSend, OpExit2TT: OpExit2, OpSendSenderTT: OpSendSender,
	OpPayloadExitTT: OpPayloadExit, OpPayloadExit2TT: OpPayloadExit2, OpSpawnRequestTT: OpSpawnRequest,
	OpSpawnReplyTT: OpSpawnReply, OpAliasSendTT: OpAliasSend,
}

// HasPayload tells whether a message (or reason, or argument list) follows the control tuple.
func (op Op) HasPayload() bool { return layouts[op].payload }

// Control is one control message. Which fields count depends on Op; see the operations.
type Control struct {
	Op          Op
	From        etf.Term // Pid; in monitor exits also Atom
	To          etf.Term // Pid, Atom (a registered name) or Ref (an alias)
	Ref         etf.Ref  // monitor, or id of a spawn request
	Reason      etf.Term
	ID          uint64 // of an unlink
	Flags       int64  // of a spawn reply: 1 = linked, 2 = monitored
	Result      etf.Term
	GroupLeader etf.Term
	MFA         MFA
	Opts        etf.List
	// Owned tells a Receiver that the payload is its own, to keep: a message put together from fragments need not be
	// copied again.
	Owned bool
}

// MFA names a function by module, function and arity.
type MFA struct {
	Module, Function etf.Atom
	Arity            uint8
}

// AppendControl appends c as a term without the version byte.
func AppendControl(dst []byte, c *Control) ([]byte, error) {
	l, ok := layouts[c.Op]
	if !ok || withoutToken[c.Op] != 0 || c.Op == OpUnlink {
		return nil, fmt.Errorf("dist: operation %d is not one to send", c.Op)
	}
	dst = append(dst, tagSmallTuple, byte(1+len(l.fields)), tagSmallInteger, byte(c.Op))
	for _, f := range l.fields {
		var err error
		if dst, err = etf.Append(dst, c.get(f)); err != nil {
			return nil, fmt.Errorf("dist: operation %d: %w", c.Op, err)
		}
	}
	return dst, nil
}

func (c *Control) get(f field) etf.Term {
	switch f {
	case fFrom:
		return c.From
	case fTo:
		return c.To
	case fRef:
		return c.Ref
	case fReason:
		return c.Reason
	case fID:
		return c.ID
	case fFlags:
		return c.Flags
	case fResult:
		return c.Result
	case fLeader:
		return c.GroupLeader
	case fMFA:
		return etf.Tuple{c.MFA.Module, c.MFA.Function, int64(c.MFA.Arity)}
	case fOpts:
		return c.Opts
	case fUnused:
	}
	return etf.Atom("")
}

// ParseControl reads the control tuple at the front of b into c and returns what follows it: the payload, a term
// without version byte, still aliasing b. A trace token is dropped and the operation given without it.
func ParseControl(b []byte, c *Control) (payload []byte, err error) {
	if len(b) < 4 || b[0] != tagSmallTuple || b[2] != tagSmallInteger {
		return nil, protocolErrorf("control message is not a tuple that begins with an operation")
	}
	op := Op(b[3])
	l, ok := layouts[op]
	if !ok {
		return nil, protocolErrorf("unknown operation %d", op)
	}
	if int(b[1]) != 1+len(l.fields) {
		return nil, protocolErrorf("operation %d with %d elements instead of %d", op, int(b[1])-1, len(l.fields))
	}
	*c = Control{Op: op}
	if plain, ok := withoutToken[op]; ok {
		c.Op = plain
	}
	rest := b[4:]
	for _, f := range l.fields {
		var t etf.Term
		if f == fUnused {
			var n int
			if n, err = etf.Skip(rest); err == nil {
				rest = rest[n:]
			}
		} else {
			t, rest, err = etf.Decode(rest)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: operation %d: %w", ErrProtocol, op, err)
		}
		if err := c.set(f, t); err != nil {
			return nil, err
		}
	}
	if l.payload == (len(rest) == 0) {
		return nil, protocolErrorf("operation %d with %d bytes behind it", op, len(rest))
	}
	return rest, nil
}

func (c *Control) set(f field, t etf.Term) error {
	ok := true
	switch f {
	case fFrom:
		switch t.(type) {
		case etf.Pid, etf.Atom, etf.Port:
			c.From = t
		default:
			ok = false
		}
	case fTo:
		switch t.(type) {
		case etf.Pid, etf.Atom, etf.Ref, etf.Port:
			c.To = t
		default:
			ok = false
		}
	case fRef:
		c.Ref, ok = t.(etf.Ref)
	case fReason:
		c.Reason = t
	case fID:
		var n int64
		if n, ok = t.(int64); ok && n >= 0 {
			c.ID = uint64(n)
		} else {
			ok = c.setBigID(t)
		}
	case fFlags:
		c.Flags, ok = t.(int64)
	case fResult:
		c.Result = t
	case fLeader:
		c.GroupLeader = t
	case fMFA:
		ok = c.setMFA(t)
	case fOpts:
		c.Opts, ok = t.(etf.List)
	case fUnused:
	}
	if !ok {
		return protocolErrorf("operation %d with a %T where none belongs", c.Op, t)
	}
	return nil
}

// setBigID takes unlink ids above int64: they are unsigned 64-bit.
func (c *Control) setBigID(t etf.Term) bool {
	n, ok := t.(*big.Int)
	if !ok || !n.IsUint64() {
		return false
	}
	c.ID = n.Uint64()
	return true
}

func (c *Control) setMFA(t etf.Term) bool {
	mfa, ok := t.(etf.Tuple)
	if !ok || len(mfa) != 3 {
		return false
	}
	m, ok1 := mfa[0].(etf.Atom)
	f, ok2 := mfa[1].(etf.Atom)
	a, ok3 := mfa[2].(int64)
	if !ok1 || !ok2 || !ok3 || a < 0 || a > 255 {
		return false
	}
	c.MFA = MFA{m, f, uint8(a)}
	return true
}
