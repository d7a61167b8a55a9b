package node

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/beamctl/beamctl/dist"
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
}

// Peer says how to reach one node.
type Peer struct {
	Name   string      // full node name; its host part is also what the peer must call itself
	EPMD   string      // host:port of the EPMD that knows it. Default: the name's host, port ERL_EPMD_PORT or 4369
	Addr   string      // host:port of its distribution listener. Set, EPMD is not asked
	Cookie dist.Cookie // default: the Config's
}

// Node is a hidden Erlang node. Its methods are safe for concurrent use.
type Node struct {
	cfg      Config
	creation uint32

	mu     sync.Mutex
	peers  map[string]*peer
	closed bool
}

// peer is one node that we know of. sem is held while connecting.
type peer struct {
	Peer
	sem  chan struct{}
	mu   sync.Mutex
	link *link
}

// Start makes a node. It opens nothing until something is asked of a peer.
func Start(cfg Config) (*Node, error) {
	if cfg.Name != "" {
		if err := checkName(cfg.Name); err != nil {
			return nil, err
		}
	}
	var b [4]byte
	if _, err := rand.Read(b[:]); err != nil {
		return nil, fmt.Errorf("creation: %w", err)
	}
	// Never 0 (it means "any"), and never one of the small ones that old nodes and EPMDs hand out.
	return &Node{cfg: cfg, creation: binary.BigEndian.Uint32(b[:]) | 1<<8, peers: map[string]*peer{}}, nil
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
	if old := n.peers[p.Name]; old != nil {
		old.mu.Lock()
		defer old.mu.Unlock()
		old.Peer = p
		return nil
	}
	n.peers[p.Name] = newPeer(p)
	return nil
}

func newPeer(p Peer) *peer { return &peer{Peer: p, sem: make(chan struct{}, 1)} }

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

// Connect makes sure that there is a connection with the node. Concurrent callers share one attempt at a time.
func (n *Node) Connect(ctx context.Context, name string) error {
	_, err := n.connected(ctx, name)
	if err != nil {
		return &OpError{"connect", name, err}
	}
	return nil
}

// Disconnect ends the connection with the node, if there is one. Calls under way end with ErrNodeDown.
func (n *Node) Disconnect(name string) {
	n.mu.Lock()
	p := n.peers[name]
	n.mu.Unlock()
	if p == nil {
		return
	}
	if l := p.take(); l != nil {
		l.close()
	}
}

// Close ends all connections and waits for their goroutines. Calls under way end with ErrNodeDown.
func (n *Node) Close() error {
	n.mu.Lock()
	n.closed = true
	peers := n.peers
	n.peers = nil
	n.mu.Unlock()
	var wg sync.WaitGroup
	for _, p := range peers {
		wg.Go(func() {
			p.sem <- struct{}{} // an attempt under way ends first
			defer func() { <-p.sem }()
			if l := p.take(); l != nil {
				l.close()
			}
		})
	}
	wg.Wait()
	return nil
}

func (p *peer) take() *link {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.link
	p.link = nil
	return l
}

func (p *peer) live() *link {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.link != nil && p.link.conn.Err() == nil {
		return p.link
	}
	return nil
}

// connected returns the link to a node, connecting if there is none.
func (n *Node) connected(ctx context.Context, name string) (*link, error) {
	p, err := n.peer(name)
	if err != nil {
		return nil, err
	}
	if l := p.live(); l != nil {
		return l, nil
	}
	select {
	case p.sem <- struct{}{}:
	case <-ctx.Done():
		return nil, timeout(ctx, "a connection attempt under way")
	}
	defer func() { <-p.sem }()
	if l := p.live(); l != nil {
		return l, nil
	}
	n.mu.Lock()
	closed := n.closed
	n.mu.Unlock()
	if closed {
		return nil, ErrClosed
	}
	if old := p.take(); old != nil {
		old.close() // over already: wait for its goroutines
	}
	p.mu.Lock()
	how := p.Peer
	p.mu.Unlock()
	l, err := n.dial(ctx, how)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	p.link = l
	p.mu.Unlock()
	return l, nil
}

// epmdAddr is where the EPMD of a host is found: ERL_EPMD_PORT counts as it does for erl.
func epmdAddr(host string) string {
	port := os.Getenv("ERL_EPMD_PORT")
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		port = strconv.Itoa(epmd.DefaultPort)
	}
	return net.JoinHostPort(host, port)
}
