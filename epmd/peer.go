package epmd

import (
	"container/list"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"time"
)

// peer is one client's connection to a Server.
type peer struct {
	s       *Server
	id      int
	conn    net.Conn
	asker   string
	pending *list.Element // its place among the connections without a request; guarded by s.mu
}

// serve reads the one request and answers it. There is nobody to tell an error.
func (p *peer) serve() {
	defer func() { _ = p.conn.Close() }()
	p.limitTime()
	body, err := readRequest(p.conn)
	p.s.settle(p)
	if err != nil {
		return
	}
	r, err := parseRequest(body)
	if err != nil {
		return
	}
	switch {
	case r.op == opPort:
		p.lookup(r.name)
	case r.op == opNames:
		p.names()
	case !p.local():
		// Like epmd: what changes or exposes more than a lookup needs is for this machine's processes.
	case r.op == opAlive:
		p.alive(r.node)
	case r.op == opDump:
		p.dump()
	case r.op == opKill:
		p.kill()
	case r.op == opStop:
		p.stop(r.name)
	}
}

// readRequest returns the body of one request. Like epmd it takes more bytes than that for an error: nothing is pipelined.
func readRequest(r io.Reader) ([]byte, error) {
	b := make([]byte, 2+maxRequest+1) // one more, to see that there is more
	for got := 0; ; {
		n, err := r.Read(b[got:])
		if got += n; got >= 2 {
			end := 2 + int(binary.BigEndian.Uint16(b))
			switch {
			case end == 2, end > 2+maxRequest, got > end:
				return nil, fmt.Errorf("%w: a request of %d bytes, %d came", ErrProtocol, end-2, got-2)
			case got == end:
				return b[2:end], nil
			}
		}
		if err != nil {
			return nil, err
		}
	}
}

func (p *peer) limitTime() { _ = p.conn.SetDeadline(time.Now().Add(p.s.cfg.RequestTimeout)) }

// local tells whether the client is on this machine. What is not TCP is the owner's own listener.
func (p *peer) local() bool {
	remote, ok := p.conn.RemoteAddr().(*net.TCPAddr)
	if !ok || remote.IP.IsLoopback() {
		return true
	}
	here, ok := p.conn.LocalAddr().(*net.TCPAddr)
	return ok && here.IP.Equal(remote.IP)
}

// alive registers n until the connection ends, or says anything more.
func (p *peer) alive(n Node) {
	ok := p.s.hold(p)
	defer p.s.release(p)
	if ok {
		n, ok = p.s.register(n, p)
	}
	p.limitTime() // anew: the hook may have taken its time
	_, err := p.conn.Write(appendAliveReply(nil, n.HighestVersion, n.Creation))
	if !ok {
		return
	}
	if err == nil {
		_ = p.conn.SetDeadline(time.Time{})
		_, _ = p.conn.Read(make([]byte, 1))
	}
	p.s.unregister(n.Name, p.id, p.asker)
}

func (p *peer) lookup(name string) {
	n, _, ok := p.s.registry.lookup(name)
	if !ok {
		_, _ = p.conn.Write([]byte{tagPort, resultError})
		return
	}
	if hook := p.s.cfg.Hooks.Lookup; hook != nil {
		n = hook(p.asker, n)
	}
	_, _ = p.conn.Write(appendPortReply(nil, n))
}

// listing begins a reply to NAMES or DUMP: the EPMD's port.
func (p *peer) listing() []byte {
	port := 0
	if a, ok := p.conn.LocalAddr().(*net.TCPAddr); ok {
		port = a.Port
	}
	return binary.BigEndian.AppendUint32(nil, uint32(port)) //nolint:gosec // a port
}

func (p *peer) names() {
	reply := p.listing()
	for _, n := range p.s.registry.nodes() {
		reply = appendNamesLine(reply, n)
	}
	_, _ = p.conn.Write(reply)
}

func (p *peer) dump() {
	reply := p.listing()
	for _, d := range p.s.registry.dump() {
		reply = appendDumpLine(reply, d)
	}
	_, _ = p.conn.Write(reply)
}

func (p *peer) kill() {
	if !p.s.cfg.AllowKill {
		_, _ = p.conn.Write([]byte("NO"))
		return
	}
	_, _ = p.conn.Write([]byte("OK"))
	p.s.shut()
}

func (p *peer) stop(name string) {
	if !p.s.cfg.AllowKill {
		return // epmd closes the connection without a word
	}
	reply := "NOEXIST"
	if p.s.stop(name) {
		reply = "STOPPED"
	}
	_, _ = p.conn.Write([]byte(reply))
}
