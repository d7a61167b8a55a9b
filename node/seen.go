package node

import "github.com/beamctl/beamctl/dist"

// Seen returns what the node called itself in the handshake of the present connection: its name, creation and flags.
// false: there is no connection.
func (n *Node) Seen(name string) (dist.Identity, bool) {
	n.mu.Lock()
	p := n.peers[name]
	n.mu.Unlock()
	if p == nil {
		return dist.Identity{}, false
	}
	l := p.live()
	if l == nil {
		return dist.Identity{}, false
	}
	return l.conn.Peer(), true
}
