package node

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/beamctl/beamctl/dist"
	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/epmd"
)

// Config says who this node is. The zero Config is a good guest: hidden, unpublished, and named by each peer.
type Config struct {
	// Name is a full node name (name@host). Empty asks each peer for a dynamic name, which costs the peer one atom
	// from a pool that it reuses; a fixed name costs one per name.
	Name string
	// Cookie is used for peers that have none of their own.
	Cookie dist.Cookie
	// TickTime is how long a silent peer is believed. Default dist.DefaultTickTime (60 s).
	TickTime time.Duration
	// Visible makes this node one that its peers list in nodes(), and that takes part in what they do with all nodes
	// (rpc:multicall, pg). It needs a Name. The node is still no member of global's name space.
	Visible bool
	// Reconnect says how to connect again to a node that this one had connected to and lost. Default: not until
	// something is asked of it. Disconnect ends it.
	Reconnect Backoff
}

// Peer says how to reach one node.
type Peer struct {
	Name   string      // full node name; its host part is also what the peer must call itself
	EPMD   string      // host:port of the EPMD that knows it. Default: the name's host, port ERL_EPMD_PORT or 4369
	Addr   string      // host:port of its distribution listener. Set, EPMD is not asked
	Cookie dist.Cookie // default: the Config's
	// TLS is for a node with -proto_dist inet_tls. Without a ServerName the host part of the node's name is what its
	// certificate must be for.
	TLS *tls.Config
}

// Node is an Erlang node. Its methods are safe for concurrent use.
type Node struct {
	cfg      Config
	creation uint32
	procs    *processes
	events   events
	names    dynamicNames
	ctx      context.Context // ends with Close
	cancel   context.CancelCauseFunc
	owned    sync.WaitGroup // all goroutines
	called   atomic.Uint64  // calls ever: the source of their numbers

	mu        sync.Mutex
	peers     map[string]*peer
	functions map[function]Function
	listener  *listener
	closed    bool
}

// Start makes a node. It opens nothing until something is asked of a peer, or of Listen.
func Start(cfg Config) (*Node, error) {
	if cfg.Name != "" {
		if err := checkName(cfg.Name); err != nil {
			return nil, err
		}
	} else if cfg.Visible {
		return nil, fmt.Errorf("visible: %w", ErrNoName)
	}
	var b [4]byte
	if _, err := rand.Read(b[:]); err != nil {
		return nil, fmt.Errorf("creation: %w", err)
	}
	n := &Node{
		cfg: cfg, procs: newProcesses(), peers: map[string]*peer{}, functions: map[function]Function{},
		events: events{subs: map[*subscription]struct{}{}},
		// Never 0 (it means "any"), and never one of the small ones that old nodes and EPMDs hand out.
		creation: binary.BigEndian.Uint32(b[:]) | 1<<8,
	}
	n.ctx, n.cancel = context.WithCancelCause(context.Background())
	return n, nil
}

func checkName(name string) error {
	alive, host, ok := strings.Cut(name, "@")
	if !ok || alive == "" || host == "" || strings.Contains(host, "@") {
		return fmt.Errorf("%q: %w", name, ErrBadName)
	}
	return nil
}

// AddPeer tells how to reach a node. A peer that was never added is looked for where Erlang would: at the EPMD of its host.
func (n *Node) AddPeer(p Peer) error {
	if err := checkName(p.Name); err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return ErrClosed
	}
	if old := n.peers[p.Name]; old != nil {
		old.mu.Lock()
		defer old.mu.Unlock()
		old.how, old.guest = p, false
		return nil
	}
	n.peers[p.Name] = newPeer(p)
	return nil
}

// peer returns what is known of a node, making it known by name alone.
func (n *Node) peer(name string) (*peer, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil, ErrClosed
	}
	p := n.peers[name]
	if p == nil {
		if err := checkName(name); err != nil {
			return nil, err
		}
		p = newPeer(Peer{Name: name})
		n.peers[name] = p
	}
	return p, nil
}

// Connect makes sure that there is a connection with the node. Concurrent callers share one attempt at a time, which
// takes 8 s at most (OTP's net_setuptime, and one) also where ctx has no deadline.
func (n *Node) Connect(ctx context.Context, name string) error {
	_, err := n.connected(ctx, name)
	return opError("connect", etf.Atom(name), err)
}

// Disconnect ends the connection with the node, if there is one. Calls under way end with ErrNodeDown.
func (n *Node) Disconnect(name string) {
	n.mu.Lock()
	p := n.peers[name]
	n.mu.Unlock()
	if p == nil {
		return
	}
	if l := p.take(n, dist.ErrClosed); l != nil {
		l.close()
	}
}

// own runs fn in a goroutine that Close waits for.
func (n *Node) own(fn func()) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return ErrClosed
	}
	n.owned.Go(fn)
	return nil
}

// Close ends the node: it stops listening, its processes end (those that are linked to them or monitor them are told
// shutdown), its connections end, and calls under way with ErrNodeDown. It returns when none of its goroutines is left,
// and so must not be called from a Function, a Server or what Spawn runs.
func (n *Node) Close() error {
	n.mu.Lock()
	n.closed = true
	peers, ln := n.peers, n.listener
	n.peers, n.listener = nil, nil
	n.mu.Unlock()
	n.cancel(ErrClosed) // attempts, handshakes and functions end
	if ln != nil {
		ln.close()
	}
	n.procs.close()
	for _, p := range n.procs.all() {
		p.end(shutdown)
	}
	var links sync.WaitGroup
	for _, p := range peers {
		links.Go(func() {
			p.sem <- struct{}{} // an attempt under way ends first
			defer func() { <-p.sem }()
			if l := p.take(n, ErrClosed); l != nil {
				l.close()
			}
		})
	}
	links.Wait()
	n.owned.Wait()
	n.events.close()
	return nil
}

// EPMDAddr is where the EPMD of a host is found: ERL_EPMD_PORT counts as it does for erl.
func EPMDAddr(host string) string {
	port := os.Getenv("ERL_EPMD_PORT")
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		port = strconv.Itoa(epmd.DefaultPort)
	}
	return net.JoinHostPort(host, port)
}
