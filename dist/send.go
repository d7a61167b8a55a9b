package dist

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"syscall"
)

// frames are built in pooled buffers; a buffer that grew beyond this is not kept.
const keepBuffer = 256 << 10

var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 1024); return &b }}

// Send sends one control message with its payload, a term without version byte (nil for operations that have none). It
// returns when the message is with the operating system or in the bounded queue before it; a peer that does not read makes it
// wait until ctx ends. Once the first fragment of a large payload is on its way the rest follows even if ctx ends.
func (c *Conn) Send(ctx context.Context, ctl *Control, payload []byte) error {
	return c.transmit(ctx, ctl, payload, inlineFirst)
}

// SendSoon is Send for one of many senders at a time: it leaves the message to the connection's own goroutine, which writes what
// all of them have left at once. That saves both sides a system call for each message, and costs a lone sender a goroutine switch.
func (c *Conn) SendSoon(ctx context.Context, ctl *Control, payload []byte) error {
	return c.transmit(ctx, ctl, payload, queuedOnly)
}

func (c *Conn) transmit(ctx context.Context, ctl *Control, payload []byte, how manner) error {
	if ctl.Op.HasPayload() != (payload != nil) {
		return fmt.Errorf("dist: operation %d: payload missing or superfluous", ctl.Op)
	}
	bp, _ := buffers.Get().(*[]byte)
	defer func() {
		if cap(*bp) <= keepBuffer {
			buffers.Put(bp)
		}
	}()
	if !c.peer.Flags.Has(FlagFragments) {
		return c.sendThrough(ctx, bp, ctl, payload)
	}
	if len(payload) > fragmentSize {
		return c.sendFragments(ctx, bp, ctl, payload)
	}
	b := append((*bp)[:0], 0, 0, 0, 0, version, tagHeader, headerNoAtoms)
	b, err := AppendControl(b, ctl)
	if err != nil {
		return err
	}
	b = append(b, payload...)
	*bp = b
	binary.BigEndian.PutUint32(b, uint32(len(b)-frameLen)) //nolint:gosec // below fragmentSize and some
	return c.write(ctx, b, nil, how)
}

// write is the writer's send; a write that fails is the end of the connection, known before its error is returned.
func (c *Conn) write(ctx context.Context, head, body []byte, how manner) error {
	err := c.w.send(ctx, head, body, how)
	if err != nil && ctx.Err() == nil {
		c.end(err)
	}
	return err
}

// sendThrough sends a message in the form that nodes without fragments (C nodes) read: one frame, however large.
func (c *Conn) sendThrough(ctx context.Context, bp *[]byte, ctl *Control, payload []byte) error {
	b := append((*bp)[:0], 0, 0, 0, 0, tagPassThrough, version)
	b, err := AppendControl(b, ctl)
	if err != nil {
		return err
	}
	if payload != nil {
		b = append(append(b, version), payload...)
	}
	*bp = b
	if len(b)-frameLen > MaxFrame {
		return fmt.Errorf("dist: a message of %d bytes for a node that takes no fragments (the limit is %d)", len(payload), MaxFrame)
	}
	binary.BigEndian.PutUint32(b, uint32(len(b)-frameLen)) //nolint:gosec // bounded above
	return c.write(ctx, b, nil, inlineFirst)
}

func (c *Conn) sendFragments(ctx context.Context, bp *[]byte, ctl *Control, payload []byte) error {
	seq := c.seq.Add(1)
	num := uint64((len(payload) + fragmentSize - 1) / fragmentSize) //nolint:gosec // not negative
	header := func(b []byte, tag byte, n uint64) []byte {
		b = append(b[:0], 0, 0, 0, 0, version, tag)
		return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, seq), n)
	}
	b, err := AppendControl(append(header(*bp, tagFirstFrag, num), headerNoAtoms), ctl)
	if err != nil {
		return err
	}
	for n := num; n > 0; n-- {
		if n < num {
			b = header(b, tagNextFrag, n)
		}
		part := payload[:min(fragmentSize, len(payload))]
		payload = payload[len(part):]
		*bp = b
		binary.BigEndian.PutUint32(b, uint32(len(b)+len(part)-frameLen)) //nolint:gosec // fragmentSize and some
		if err := c.write(ctx, b, part, givingWay); err != nil {
			if n < num && ctx.Err() != nil {
				c.finishFragments(context.WithoutCancel(ctx), seq, n, part, payload)
			}
			return err
		}
	}
	return nil
}

// finishFragments sends the rest of a message whose sender has stopped waiting: the peer would keep the unfinished
// sequence until the connection ends. The goroutine belongs to the connection and ends with it.
func (c *Conn) finishFragments(ctx context.Context, seq, n uint64, part, rest []byte) {
	rest = append(append([]byte(nil), part...), rest...)
	c.goLoop(func() {
		for ; n > 0; n-- {
			b := binary.BigEndian.AppendUint64([]byte{0, 0, 0, 0, version, tagNextFrag}, seq)
			b = binary.BigEndian.AppendUint64(b, n)
			part := rest[:min(fragmentSize, len(rest))]
			rest = rest[len(part):]
			binary.BigEndian.PutUint32(b, uint32(len(b)+len(part)-frameLen)) //nolint:gosec // fragmentSize and some
			if c.write(ctx, b, part, givingWay) != nil {
				return // the connection is over
			}
		}
	})
}

func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
