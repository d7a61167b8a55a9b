package dist

import (
	"context"
	"encoding/binary"
	"math"

	"github.com/beamctl/beamctl/dist/etf"
)

// A probe asks the peer whether it is there, and has read all that was sent before. It is a monitor of the name
// undefined, which no process can have (erlang:register/2): the peer's reader says at once that there is none, and
// nothing is left of it on either side.

// refOfProbe is the third word of a probe's reference. References that a Receiver makes must have another one there.
const refOfProbe = math.MaxUint32

// answersProbes says whether the peer is one. (C nodes, which have no fragments either, do not.)
func (c *Conn) answersProbes() bool {
	return c.peer.Flags.Has(FlagDistMonitor | FlagDistMonitorName | FlagFragments)
}

// appendProbe appends the frame of a probe.
func (c *Conn) appendProbe(dst []byte, number uint32) ([]byte, error) {
	self := etf.Atom(c.local.Name)
	start := len(dst)
	dst, err := AppendControl(append(dst, 0, 0, 0, 0, version, tagHeader, headerNoAtoms), &Control{
		Op: OpMonitor, From: etf.Pid{Node: self, Creation: c.local.Creation}, To: etf.Atom("undefined"),
		Ref: etf.Ref{Node: self, Creation: c.local.Creation, Len: 3, ID: [etf.MaxRefWords]uint32{0, number, refOfProbe}},
	})
	if err != nil {
		return nil, err
	}
	binary.BigEndian.PutUint32(dst[start:], uint32(len(dst)-start-frameLen)) //nolint:gosec // some hundred bytes
	return dst, nil
}

// ask sends a probe for a sign of life, if that can be done at once.
func (c *Conn) ask() {
	if !c.answersProbes() {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if b, err := c.appendProbe(nil, c.pacer.next()); err == nil {
		_ = c.write(ctx, b, nil, inlineFirst)
	}
}

// probed tells whether a message answers a probe, and which.
func (c *Conn) probed(ctl *Control) (number uint32, ok bool) {
	if ctl.Op != OpPayloadMonitorExit && ctl.Op != OpMonitorExit {
		return 0, false
	}
	return ctl.Ref.ID[1], ctl.Ref.ID[2] == refOfProbe && ctl.Ref.Node == etf.Atom(c.local.Name)
}
