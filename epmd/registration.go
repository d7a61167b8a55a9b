package epmd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// Registration is a name held at an EPMD, for as long as the connection to it lasts.
type Registration struct {
	creation uint32
	conn     net.Conn
	done     chan struct{}
}

// Register registers n and holds the name until Close, or until the EPMD goes (see Done). A zero Type is
// TypeNormal, and a zero HighestVersion means versions 5 to 6. The error is ErrNameTaken or an [*OpError].
func (c *Client) Register(ctx context.Context, n Node) (*Registration, error) {
	if n.Type == 0 {
		n.Type = TypeNormal
	}
	if n.HighestVersion == 0 {
		n.HighestVersion, n.LowestVersion = 6, 5
	}
	b, err := appendRequest(nil, request{op: opAlive, node: n})
	if err != nil {
		return nil, err
	}
	r := &Registration{done: make(chan struct{})}
	r.conn, err = c.exchange(ctx, "register", b, maxReply, func(reply []byte, _ bool) (err error) {
		r.creation, err = parseAliveReply(reply)
		return err
	})
	if errors.Is(err, ErrNameTaken) {
		return nil, fmt.Errorf("epmd %s: %w: %s", c.Addr, ErrNameTaken, n.Name)
	} else if err != nil {
		return nil, err
	}
	go r.watch()
	return r, nil
}

// watch ends when the connection does: an EPMD sends nothing more on it.
func (r *Registration) watch() {
	defer close(r.done)
	_, _ = r.conn.Read(make([]byte, 1))
	_ = r.conn.Close()
}

// Creation is what the EPMD gave this incarnation of the node.
func (r *Registration) Creation() uint32 { return r.creation }

// Done is closed when the name is no longer held.
func (r *Registration) Done() <-chan struct{} { return r.done }

// Close gives the name back. It may be called more than once.
func (r *Registration) Close() error {
	_ = r.conn.Close()
	<-r.done
	return nil
}

// retryInterval is OTP's RECONNECT_TIME (erl_epmd.erl): how long a node waits before it registers again.
const retryInterval = 2 * time.Second

// Kept is a name that is registered again whenever the EPMD comes back.
type Kept struct {
	creation uint32
	cancel   context.CancelFunc
	wg       sync.WaitGroup
}

// Keep registers n as Register does, and then, until Close, again whenever the registration is lost: after 2
// seconds and every 2 seconds, as OTP does. ctx is for the first registration, whose error is returned. changed, unless
// nil, is called with the reason when the registration is lost or could not be renewed, and with nil when it is back.
func (c *Client) Keep(ctx context.Context, n Node, changed func(error)) (*Kept, error) {
	r, err := c.Register(ctx, n)
	if err != nil {
		return nil, err
	}
	if changed == nil {
		changed = func(error) {}
	}
	//nolint:gosec // G118: Close calls cancel
	keepCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	k := &Kept{creation: r.creation, cancel: cancel}
	k.wg.Go(func() { c.keep(keepCtx, n, r, changed) })
	return k, nil
}

func (c *Client) keep(ctx context.Context, n Node, r *Registration, changed func(error)) {
	for {
		select {
		case <-ctx.Done():
			_ = r.Close()
			return
		case <-r.Done():
		}
		err := error(&OpError{"register", c.Addr, net.ErrClosed})
		for err != nil {
			changed(err)
			select {
			case <-ctx.Done():
				return
			case <-time.After(retryInterval):
			}
			r, err = c.Register(ctx, n)
			if ctx.Err() != nil {
				if err == nil {
					_ = r.Close()
				}
				return
			}
		}
		changed(nil)
	}
}

// Creation is that of the first registration: like an OTP node, one does not change it while one runs.
func (k *Kept) Creation() uint32 { return k.creation }

// Close gives the name back and ends the keeping. It may be called more than once.
func (k *Kept) Close() error {
	k.cancel()
	k.wg.Wait()
	return nil
}
